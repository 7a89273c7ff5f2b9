"""The signal log: one row per symbol, phase and hour in the lake, and a JSON line per change of it.

Belongs here: storing and finding records, and the rule of which of two evaluations of an hour stands. Does not
belong: deciding (`signals.hourly`), what a line is (`signal_line`, with a published JSON Schema).

    stands | comes     blocked                       not blocked
    (nothing)          written                       written
    blocked            first stays                   replaces only within its decision hour
    not blocked        replaces: the safe direction  first stays: an executor may have acted on it

A blocked hour can be decided again while it lasts; afterwards its market is gone. `hour_missed` is no evaluation
and replaces nothing: an hour that has a record was not missed.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso, require_utc
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import ReasonCode, SignalRecord, SignalState, record_from_json
from eth_pipeline.contracts.table import at
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import Manifest
from eth_pipeline.operations.signal_line import RecordOrigin
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

    def __init__(self, lake: Lake, *, folder: Path, manifest: Manifest | None = None) -> None:
        self._lake = lake
        self._folder = folder
        self._manifest = manifest

    def write(self, record: SignalRecord) -> SignalRecord:
        """Store `record` unless the hour's present record stands; return the one that stands.

        The rule sees what is there: it is part of the commit, and whoever loses a race between hosts looks again.

        Raises:
            ContractViolation, ProvenanceMismatch: as `Lake.upsert`; nothing was written.
        """
        return self.write_many((record,))[0]

    def write_many(self, records: Sequence[SignalRecord]) -> tuple[SignalRecord, ...]:
        """As `write`, for records of distinct hours, in one commit; for each the record that stands.

        Raises:
            ContractViolation, ProvenanceMismatch: as `Lake.upsert`; nothing was written.
        """
        stand: list[SignalRecord] = []
        fresh: list[SignalRecord] = []

        def choose(known: pl.DataFrame) -> pl.DataFrame:
            present = {_key(r): r for r in map(record_from_json, known["record"])}
            stand[:] = [_standing(record, present.get(_key(record))) for record in records]
            fresh[:] = [record for record, standing in zip(records, stand, strict=True) if record is standing]
            return signal_rows(fresh)

        if not records:
            return ()
        with exclusive(self._folder / ".signals.lock"):
            self._lake.upsert(SIGNALS, signal_rows(records), choose=choose)
            for record in fresh:
                self._append(record)
        return tuple(stand)

    def complete_lines(self, records: Sequence[SignalRecord]) -> int:
        """Append the line of every standing record that has none: its run died between the table and the log.

        Returns:
            How many lines were missing.
        """
        if not records:
            return 0
        with exclusive(self._folder / ".signals.lock"):
            days = {f"{record.decision_time:%Y%m%d}" for record in records}
            written = {line for day in days for line in self._evaluations(day)}
            missing = [r for r in records if (iso(r.decision_time), r.run_id, str(r.state)) not in written]
            for record in missing:
                self._append(record)
        return len(missing)

    def between(
        self, first: datetime, end: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> tuple[SignalRecord, ...]:
        """Records of the hours in [first, end), oldest first."""
        span = pl.col("decision_time").is_between(at(first), at(end), closed="left")
        return self._records(span & _only(symbol, phase))

    def get(
        self, decision_time: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> SignalRecord | None:
        """The record of one hour.

        Raises:
            ValueError: the hour has several; name `symbol` and `phase`.
        """
        of_hour = pl.col("decision_time") == at(decision_time)
        found = self._records(of_hour & _only(symbol, phase))
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
        recent = pl.col("decision_time") >= at(first)
        return self._records(recent & _only(symbol, phase))[-n:]

    def hours_without_record(
        self, first: datetime, last: datetime, *, symbol: str | None = None, phase: Phase | None = None
    ) -> tuple[datetime, ...]:
        """Full hours from `first` to `last`, both included, that have no record."""
        span = pl.col("decision_time").is_between(at(first), at(last))
        times = self._lake.read(SIGNALS, where=span & _only(symbol, phase), columns=["decision_time"])["decision_time"]
        present = set(times)
        hours = (require_utc(first) + n * HOUR for n in range(int((last - first) / HOUR) + 1))
        return tuple(hour for hour in hours if hour not in present)

    def _records(self, where: pl.Expr) -> tuple[SignalRecord, ...]:
        rows = self._lake.read(SIGNALS, where=where, columns=["decision_time", "symbol", "phase", "record"])
        return tuple(record_from_json(text) for text in rows.sort("decision_time", "symbol", "phase")["record"])

    def _evaluations(self, day: str) -> list[tuple[str, str, str]]:
        """Hour, run and state of the lines of a day; a line that a full disk cut off, or that is no line, is none."""
        path, found = self._folder / f"signals_{day}.jsonl", []
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                data = json.loads(line)["data"]
                found.append((iso(datetime.fromisoformat(data["decision_time"])), data["run_id"], data["state"]))
        return found

    def _append(self, record: SignalRecord) -> None:
        line = {
            "level": "SIGNAL",
            "time": iso(record.emitted_at),
            "runtime_manifest": self._manifest.as_dict() if self._manifest else RecordOrigin.of(record).model_dump(),
            "data": record.flat(),
        }
        path = self._folder / f"signals_{record.decision_time:%Y%m%d}.jsonl"
        text = json.dumps(line, allow_nan=False) + "\n"
        with path.open("a+b") as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                text = text if stream.read(1) == b"\n" else "\n" + text  # a full disk cut the line before
            stream.write(text.encode())


def _standing(record: SignalRecord, present: SignalRecord | None) -> SignalRecord:
    return record if present is None or _replaces(record, present) else present


def _key(record: SignalRecord) -> tuple[str, str, datetime]:
    return record.symbol, record.phase, record.decision_time


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
