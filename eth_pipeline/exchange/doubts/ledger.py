"""The gap ledger's memory: findings of a run against the entries of the runs before.

Belongs here: what is new, what was repaired since and by which door, writing only that. Does not belong: finding
(`findings`, `suspects`). An hour in which nothing changed reads and writes no table: the digest of what is absent
lies in the host's state file. Losing that file costs one look at the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from eth_pipeline.contracts.quality import GAP_LEDGER, QUARANTINE, Cause, Status
from eth_pipeline.contracts.table import INSTANT, at
from eth_pipeline.exchange.doubts.findings import FINDING, REFUSED_CAUSES, Absence, refused_rows
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.exchange.streams import Stream
from eth_pipeline.lake import Lake

_ABSENT_CAUSES = [str(cause) for cause in (Cause.MISSING, Cause.LATE, *REFUSED_CAUSES)]
_STANDING = [str(status) for status in (Status.OPEN, Status.NEVER_EXISTED, Status.REFUSED)]


@dataclass(frozen=True)
class Report:
    """What one ingestion says about one series.

    Attributes:
        series, symbol: whose.
        absence: what is not there; None where a door failed before it could be known.
        bad: rows set aside, in the shape of the stream with `broken_rule`.
        events: findings that happened in this run (`findings.events`).
        used_files: starts of archive files that were read; an earlier refusal of theirs is repaired.
    """

    series: str
    symbol: str
    absence: Absence | None
    bad: pl.DataFrame
    events: pl.DataFrame
    used_files: tuple[datetime, ...]

    def after(self, earlier: "Report | None") -> "Report":
        """This report, with what an earlier look in the same ingestion met on its way."""
        if earlier is None:
            return self
        return replace(
            self.with_events(earlier.events),
            bad=self.bad if self.bad.height else earlier.bad,
            used_files=(*earlier.used_files, *self.used_files),
        )

    def with_events(self, more: pl.DataFrame) -> "Report":
        """This report with `more` events."""
        return replace(self, events=pl.concat([self.events, more]))


def record(
    lake: Lake, state: HostState, stream: Stream, reports: Sequence[Report], *, now: datetime, provenance: str | None
) -> int:
    """Write what changed since the last run into the ledger and the quarantine; return how many entries.

    Args:
        reports: one per series.
        now: exchange time.
        provenance: of this run's answers; None where nothing answered: then the stored rows say it, and without
            any there is nothing to compare with and nothing is written.
    """
    changed = [report for report in reports if _has_news(state, report)]
    if not changed:
        return 0
    origin = provenance or lake.provenance(stream.contract)
    if origin == "unknown":
        return 0
    prior = lake.read(
        GAP_LEDGER,
        where=(pl.col("stream") == stream.contract.name)
        & (pl.col("interval") == (stream.interval or ""))
        & pl.col("symbol").is_in([report.symbol for report in changed]),
    )
    rows = [_changes(lake, stream, report, prior, now=now, origin=origin) for report in changed]
    written = lake.upsert(GAP_LEDGER, pl.concat(rows))
    lake.upsert(QUARANTINE, pl.concat([_set_aside(lake, stream, report, now=now, origin=origin) for report in changed]))
    with state.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO findings VALUES (?, ?)",
            [(report.series, report.absence.digest) for report in changed if report.absence is not None],
        )
    return written.inserted + written.updated


def _has_news(state: HostState, report: Report) -> bool:
    if report.events.height or report.bad.height:
        return True
    if report.absence is None:
        return False
    known = state.row("SELECT digest FROM findings WHERE series = ?", (report.series,))
    return known is None or known[0] != report.absence.digest


def _changes(
    lake: Lake, stream: Stream, report: Report, prior: pl.DataFrame, *, now: datetime, origin: str
) -> pl.DataFrame:
    mine = prior.filter(pl.col("symbol") == report.symbol)
    news = [report.events.join(mine, on=["time", "cause"], how="anti")]
    updates = [_repaired_files(mine, report, now=now)]
    refused = refused_rows(report.bad, time_column=stream.time_column, symbol=report.symbol)
    news.append(refused.join(mine, on=["time", "cause"], how="anti"))
    if report.absence is not None:
        standing = mine.filter(pl.col("cause").is_in(_ABSENT_CAUSES), pl.col("status").is_in(_STANDING))
        absent = report.absence.findings(report.symbol)
        is_row = pl.col("cause") != str(Cause.NOT_LISTED)
        rows = absent.filter(is_row)
        updates.append(_repaired(lake, stream, standing.join(rows, on="time", how="anti"), report, now=now))
        updates.append(_moved(standing, pl.concat([rows, refused]), now=now))
        news.append(rows.join(standing, on="time", how="anti").join(refused, on="time", how="anti"))
        news.append(absent.filter(~is_row))
    new = pl.concat(news).unique(["time", "cause"], keep="first", maintain_order=True)
    entries = new.join(mine.select("time", "cause", "first_seen"), on=["time", "cause"], how="left").select(
        pl.lit(stream.contract.name).alias("stream"),
        "symbol",
        pl.lit(stream.interval or "").alias("interval"),
        *[name for name in FINDING if name != "symbol"],
        pl.coalesce("first_seen", at(now)).alias("first_seen"),
        at(now).alias("last_seen"),
        pl.lit(origin).alias("provenance"),
    )
    same = ["time", "cause", "status", "detail"]
    entries = entries.join(mine, on=same, how="anti")  # `last_seen` alone is no change
    return pl.concat([*updates, entries]).unique(list(GAP_LEDGER.key), keep="last", maintain_order=True)


def _repaired(lake: Lake, stream: Stream, gone: pl.DataFrame, report: Report, *, now: datetime) -> pl.DataFrame:
    """Entries of instants that are stored by now, with the door their row came through."""
    if not gone.height:
        return gone
    time = stream.time_column
    between = pl.col(time).is_between(at(min(gone["time"])), at(max(gone["time"])))
    mine = pl.col("symbol") == report.symbol
    if stream.interval is not None:
        mine = mine & (pl.col("interval") == stream.interval)
    stored = lake.read(stream.contract, where=mine & between, columns=[time, "source"]).rename({time: "time"})
    return _restated(
        gone.join(stored, on="time"), now=now, status=pl.lit(str(Status.REPAIRED)), source=pl.col("source")
    )


def _moved(standing: pl.DataFrame, absent: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """Open entries that turned out refused, or never to come."""
    final = absent.filter(pl.col("status") != str(Status.OPEN)).select("time", pl.col("status").alias("new_status"))
    final = final.unique("time", keep="last", maintain_order=True)
    moved = standing.filter(pl.col("status") == str(Status.OPEN)).join(final, on="time")
    return _restated(moved, now=now, status=pl.col("new_status"), source=pl.col("repair_source"))


def _repaired_files(mine: pl.DataFrame, report: Report, *, now: datetime) -> pl.DataFrame:
    """Files refused earlier that were read by now."""
    gone = mine.filter(
        pl.col("cause") == str(Cause.FILE_REFUSED),
        pl.col("status") == str(Status.REFUSED),
        pl.col("time").is_in(pl.Series(report.used_files, dtype=INSTANT).implode()),
    )
    return _restated(gone, now=now, status=pl.lit(str(Status.REPAIRED)), source=pl.lit("archive"))


def _restated(entries: pl.DataFrame, *, now: datetime, status: pl.Expr, source: pl.Expr) -> pl.DataFrame:
    return entries.with_columns(
        status.alias("status"), source.alias("repair_source"), at(now).alias("last_seen")
    ).select(list(GAP_LEDGER.schema))


def _set_aside(lake: Lake, stream: Stream, report: Report, *, now: datetime, origin: str) -> pl.DataFrame:
    """Rows for the quarantine that are not in it yet."""
    if not report.bad.height:
        return QUARANTINE.empty()
    time = stream.time_column
    rows = report.bad.select(
        pl.lit(stream.contract.name).alias("stream"),
        pl.lit(report.symbol).alias("symbol"),
        pl.lit(stream.interval or "").alias("interval"),
        pl.col(time).alias("time"),
        "broken_rule",
        pl.struct(pl.col(list(stream.contract.schema))).struct.json_encode().alias("row"),
        "source",
        at(now).alias("first_seen"),
        at(now).alias("last_seen"),
        pl.lit(origin).alias("provenance"),
    ).filter(pl.col("time").is_not_null())
    known = lake.read(
        QUARANTINE, where=(pl.col("stream") == stream.contract.name) & (pl.col("symbol") == report.symbol)
    )
    same = ["interval", "time", "broken_rule", "row"]
    return rows.join(known, on=same, how="anti").unique(list(QUARANTINE.key), keep="last", maintain_order=True)
