"""The signal log: one row per symbol, phase and hour in the lake, and a JSON line per change of it.

Belongs here: storing and finding records, and the rule of which of two evaluations of an hour stands. Does not
belong: deciding (`signals.hourly`).

    stands | comes     blocked                       not blocked
    (nothing)          written                       written
    blocked            first stays                   replaces only within its decision hour
    not blocked        replaces: the safe direction  first stays: an executor may have acted on it

A blocked hour can be decided again while it lasts; afterwards its market is gone. `hour_missed` is no evaluation
and replaces nothing: an hour that has a record was not missed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso, require_utc
from eth_pipeline.contracts.signal import SIGNALS, ReasonCode, SignalRecord, SignalState, record_from_json
from eth_pipeline.contracts.tables import INSTANT
from eth_pipeline.lake import Lake
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.settings import Phase
from eth_pipeline.signals.record_rows import signal_rows


class SignalLog:
    """Reads and writes signal records.

    Args:
        lake: holds the table.
        folder: of the JSON lines, one file per UTC day of decision time.
        manifest: the runtime manifest to carry on every line; without it the record's own origin is carried.
    """

    def __init__(self, lake: Lake, *, folder: Path, manifest: Mapping[str, object] | None = None) -> None:
        self._lake = lake
        self._folder = folder
        self._manifest = manifest

    def write(self, record: SignalRecord) -> SignalRecord:
        """Store `record` unless the hour's present record stands; return the one that stands.

        Writers on this host wait for each other, so that the rule sees what is there.

        Raises:
            ContractViolation, ProvenanceMismatch: as `Lake.upsert`; nothing was written.
        """
        return self.write_many((record,))[0]

    def write_many(self, records: Sequence[SignalRecord]) -> tuple[SignalRecord, ...]:
        """As `write`, for records of distinct hours, in one commit; for each the record that stands.

        Raises:
            ContractViolation, ProvenanceMismatch: as `Lake.upsert`; nothing was written.
        """
        if not records:
            return ()
        with exclusive(self._folder / ".signals.lock"):
            hours = [record.decision_time for record in records]
            present = {_key(r): r for r in self.between(min(hours), max(hours) + HOUR)}
            stand = [_standing(record, present.get(_key(record))) for record in records]
            fresh = [record for record, standing in zip(records, stand, strict=True) if record is standing]
            if fresh:
                self._lake.upsert(SIGNALS, signal_rows(fresh))
            for record in fresh:
                self._append(record)
        return tuple(stand)

    def between(
        self, first: datetime, end: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> tuple[SignalRecord, ...]:
        """Records of the hours in [first, end), oldest first."""
        span = pl.col("decision_time").is_between(_instant(first), _instant(end), closed="left")
        return self._records(span & _only(symbol, phase))

    def get(
        self, decision_time: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> SignalRecord | None:
        """The record of one hour.

        Raises:
            ValueError: the hour has several; name `symbol` and `phase`.
        """
        at = pl.col("decision_time") == _instant(decision_time)
        found = self._records(at & _only(symbol, phase))
        if len(found) > 1:
            held = ", ".join(f"{record.symbol} {record.phase}" for record in found)
            raise ValueError(f"{iso(decision_time)} has records of {held}. Name the symbol and the phase.")
        return found[0] if found else None

    def oldest(self, *, symbol: str | None = None, phase: Phase | None = None) -> datetime | None:
        """The first hour on record; None without records."""
        times = self._lake.read(SIGNALS, where=_only(symbol, phase), columns=["decision_time"])["decision_time"]
        oldest = times.min()
        return oldest if isinstance(oldest, datetime) else None

    def tail(self, n: int, *, symbol: str | None = None, phase: Phase | None = None) -> tuple[SignalRecord, ...]:
        """The newest `n` records, oldest of them first."""
        times = self._lake.read(SIGNALS, where=_only(symbol, phase), columns=["decision_time"])["decision_time"]
        if n < 1 or times.is_empty():
            return ()
        first = times.sort(descending=True)[min(n, times.len()) - 1]
        recent = pl.col("decision_time") >= _instant(first)
        return self._records(recent & _only(symbol, phase))[-n:]

    def hours_without_record(
        self, first: datetime, last: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> tuple[datetime, ...]:
        """Full hours from `first` to `last`, both included, that have no record."""
        span = pl.col("decision_time").is_between(_instant(first), _instant(last))
        times = self._lake.read(SIGNALS, where=span & _only(symbol, phase), columns=["decision_time"])["decision_time"]
        present = set(times)
        hours = (require_utc(first) + n * HOUR for n in range(int((last - first) / HOUR) + 1))
        return tuple(hour for hour in hours if hour not in present)

    def _records(self, where: pl.Expr) -> tuple[SignalRecord, ...]:
        rows = self._lake.read(SIGNALS, where=where, columns=["decision_time", "symbol", "phase", "record"])
        return tuple(record_from_json(text) for text in rows.sort("decision_time", "symbol", "phase")["record"])

    def _append(self, record: SignalRecord) -> None:
        line = {
            "level": "SIGNAL",
            "time": iso(record.emitted_at),
            "runtime_manifest": dict(self._manifest) if self._manifest is not None else _origin(record),
            "data": record.flat(),
        }
        path = self._folder / f"signals_{record.decision_time:%Y%m%d}.jsonl"
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")


def _standing(record: SignalRecord, present: SignalRecord | None) -> SignalRecord:
    return record if present is None or _replaces(record, present) else present


def _key(record: SignalRecord) -> tuple[str, str, datetime]:
    return record.symbol, record.phase, record.decision_time


def _instant(time: datetime) -> pl.Expr:
    return pl.lit(require_utc(time), INSTANT)


def _replaces(record: SignalRecord, standing: SignalRecord) -> bool:
    was_blocked = standing.state is SignalState.BLOCKED
    if record.state is SignalState.BLOCKED:
        missed = any(reason.code is ReasonCode.HOUR_MISSED for reason in record.reasons)
        return not was_blocked and not missed
    in_time = record.decision_time <= record.emitted_at < record.decision_time + HOUR
    return was_blocked and in_time


def _only(symbol: str | None, phase: Phase | None) -> pl.Expr:
    where = pl.lit(True)
    if symbol is not None:
        where = where & (pl.col("symbol") == symbol)
    if phase is not None:
        where = where & (pl.col("phase") == phase)
    return where


def _origin(record: SignalRecord) -> dict[str, object]:
    return {
        "run_id": record.run_id,
        "code_commit": record.code_commit,
        "config_digest": record.config_digest,
        "model_version": record.model_version,
        "model_fingerprint": record.ml.ml_fingerprint,
        "table_versions": record.table_versions,
        "provenance": record.provenance,
    }
