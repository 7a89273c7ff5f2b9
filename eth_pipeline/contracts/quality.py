"""What is wrong with the data: the gap ledger, the quarantine, and quality by hour as features and the gate read it.

Belongs here: causes, statuses, the two tables, reading them. Does not belong: finding what is wrong
(`exchange.doubts.findings`), writing it down (`exchange.doubts.ledger`), what it does to a signal
(`signals.gating.policy`).

A row of the ledger is one instant of one series at which something was wrong, or one archive file. It stays after
the repair: that a row came late, twice or corrected is a fact about every model trained on it. Older states of an
entry are in the versions of the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import polars as pl

from eth_pipeline.contracts.clock import HOUR, require_utc
from eth_pipeline.contracts.table import INSTANT, Column, TableContract, at


class Cause(StrEnum):
    """What was wrong at an instant, or with a file."""

    MISSING = "missing"
    LATE = "late"
    NOT_LISTED = "not_listed"
    ZERO = "zero"
    INCOMPLETE = "incomplete"
    IMPOSSIBLE = "impossible"
    OFF_GRID = "off_grid"
    DUPLICATE = "duplicate"
    REVISED = "revised"
    SUSPECT_TRUNCATED = "suspect_truncated"
    SUSPECT_SPIKE = "suspect_spike"
    FILE_REFUSED = "file_refused"
    FILE_REPLACED = "file_replaced"


CAUSE_SAYS: dict[Cause, str] = {
    Cause.MISSING: "no door has the row, and newer rows are there",
    Cause.LATE: "the row was due and not published when it was looked for",
    Cause.NOT_LISTED: "nothing before this instant is wanted or published; one entry for the whole time before",
    Cause.ZERO: "published as zero where zero is impossible; not stored",
    Cause.INCOMPLETE: "published with an empty field that must be there; not stored",
    Cause.IMPOSSIBLE: "published with values that contradict each other; not stored",
    Cause.OFF_GRID: "published for an instant that is not on the grid; not stored",
    Cause.DUPLICATE: "published more than once in one answer or file; stored once",
    Cause.REVISED: "published again with other values; the newer ones are stored",
    Cause.SUSPECT_TRUNCATED: "the bar ends away from where the next one opens and where the mark price was; stored",
    Cause.SUSPECT_SPIKE: "an extreme far beyond the mark price of the same bar (a liquidation print); stored",
    Cause.FILE_REFUSED: "an archive file was not used: checksum, zip, columns or labels are wrong",
    Cause.FILE_REPLACED: "the archive replaced a file that was used; the new one was read, the old one is kept",
}


class Status(StrEnum):
    """Where an entry stands."""

    OPEN = "open"
    REPAIRED = "repaired"
    NEVER_EXISTED = "never_existed"
    REFUSED = "refused"
    KEPT = "kept"


STATUS_SAYS: dict[Status, str] = {
    Status.OPEN: "it may still come; it is asked for again hourly on its first day, then daily",
    Status.REPAIRED: "a good row is stored; `repair_source` says which door it came through",
    Status.NEVER_EXISTED: "both doors answered without it more than 30 days after its time",
    Status.REFUSED: "what was published breaks the contract; it is in the quarantine, not in the table",
    Status.KEPT: "stored as published, and doubted",
}

_SUBJECT = (
    Column("stream", pl.String, "text", "Table the row belongs to."),
    Column("symbol", pl.String, "text", "Exchange symbol."),
    Column("interval", pl.String, "text", "Bar size; empty for streams without bars."),
    Column("time", INSTANT, "instant, UTC", "Instant of the row (start of a bar), or start of the file."),
)
_SEEN = (
    Column("first_seen", INSTANT, "instant, UTC", "Exchange time of the ingestion that found it."),
    Column("last_seen", INSTANT, "instant, UTC", "Exchange time of the ingestion that last changed this entry."),
    Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
)

GAP_LEDGER = TableContract(
    name="gap_ledger",
    row_is="one row or archive file that was missing, late, doubled, refused, revised, replaced or doubted",
    key=("stream", "symbol", "interval", "time", "cause"),
    columns=(
        *_SUBJECT,
        Column("cause", pl.String, "text", "; ".join(f"`{cause}`: {says}" for cause, says in CAUSE_SAYS.items())),
        Column("status", pl.String, "text", "; ".join(f"`{status}`: {says}" for status, says in STATUS_SAYS.items())),
        Column("repair_source", pl.String, "text", "`archive` or `api`; null while not repaired.", nullable=True),
        Column("detail", pl.String, "text", "One sentence for people."),
        *_SEEN,
    ),
    partition_by=(),
    newest_by="last_seen",
)
QUARANTINE = TableContract(
    name="quarantine",
    row_is="one published row that breaks its contract, as it was published",
    key=("stream", "symbol", "interval", "time"),
    columns=(
        *_SUBJECT,
        Column("broken_rule", pl.String, "text", "The first rule of the contract that it breaks."),
        Column("row", pl.String, "JSON", "The whole row."),
        Column("source", pl.String, "text", "`archive` or `api`."),
        *_SEEN,
    ),
    partition_by=(),
    newest_by="last_seen",
)

DECISIVE_STREAMS = ("klines", "mark_klines")
"""Streams whose holes make a decision doubtful; the others are features with a coverage figure of their own."""

_DOUBTFUL = (Status.OPEN, Status.NEVER_EXISTED, Status.REFUSED, Status.KEPT)
_NOT_ABOUT_ROWS = (Cause.NOT_LISTED, Cause.FILE_REFUSED, Cause.FILE_REPLACED)


class LedgerReader(Protocol):
    """What reads tables: the lake."""

    def read(
        self,
        table: TableContract,
        *,
        where: pl.Expr | None = None,
        columns: list[str] | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Rows of `table`, sorted by key."""
        ...


@dataclass(frozen=True)
class DataGap:
    """Entries of one stream and cause inside a window, as the gate sees them.

    Attributes:
        stream, symbol, cause: which series, and what is wrong.
        rows: how many instants.
        first: the oldest of them.
    """

    stream: str
    symbol: str
    cause: str
    rows: int
    first: datetime


def quality_of(
    lake: LedgerReader,
    *,
    symbol: str,
    hours: pl.Series | Sequence[datetime],
    streams: Sequence[str] = DECISIVE_STREAMS,
) -> pl.DataFrame:
    """Quality of each hour of `symbol`: what the ledger doubts in it.

    Args:
        lake: where the ledger is.
        symbol: exchange symbol.
        hours: STARTS of the hours asked for, UTC. A decision at 12:00 rests on the hour that started at 11:00.
        streams: series that count.

    Returns:
        One row per hour of `hours`, in their order: `hour`, `absent_rows` (missing, late or refused),
        `suspect_rows` (stored and doubted), `causes` (list of text, sorted), `is_clean`.
    """
    wanted = pl.DataFrame({"hour": pl.Series(hours, dtype=INSTANT)})
    first, last = wanted["hour"].min(), wanted["hour"].max()
    if not (isinstance(first, datetime) and isinstance(last, datetime)):
        return _judged(wanted, _doubts(GAP_LEDGER.empty()))
    doubts = _doubts(_entries(lake, symbol=symbol, streams=streams, first=first, before=last + HOUR))
    return _judged(wanted, doubts)


def data_gaps(
    lake: LedgerReader,
    *,
    symbol: str,
    decision_time: datetime,
    window_hours: int,
    streams: Sequence[str] = DECISIVE_STREAMS,
) -> tuple[DataGap, ...]:
    """What the ledger doubts in the `window_hours` before `decision_time`; empty where nothing is wrong.

    Only rows due by `decision_time` count: a row that is merely not there yet is the freshness's business.
    """
    end = require_utc(decision_time)
    entries = _entries(lake, symbol=symbol, streams=streams, first=end - timedelta(hours=window_hours), before=end)
    grouped = entries.group_by("stream", "cause").agg(pl.len().alias("rows"), pl.col("time").min().alias("first"))
    return tuple(
        DataGap(row["stream"], symbol, row["cause"], row["rows"], row["first"])
        for row in grouped.sort("stream", "first", "cause").iter_rows(named=True)
    )


def _entries(
    lake: LedgerReader, *, symbol: str, streams: Sequence[str], first: datetime, before: datetime
) -> pl.DataFrame:
    return lake.read(
        GAP_LEDGER,
        where=(pl.col("symbol") == symbol)
        & pl.col("stream").is_in(list(streams))
        & (pl.col("time") >= at(first))
        & (pl.col("time") < at(before))
        & pl.col("status").is_in([str(status) for status in _DOUBTFUL])
        & ~pl.col("cause").is_in([str(cause) for cause in _NOT_ABOUT_ROWS]),
    )


def _doubts(entries: pl.DataFrame) -> pl.DataFrame:
    is_kept = pl.col("status") == str(Status.KEPT)
    return entries.group_by(pl.col("time").dt.truncate("1h").alias("hour")).agg(
        (~is_kept).sum().cast(pl.Int64).alias("absent_rows"),
        is_kept.sum().cast(pl.Int64).alias("suspect_rows"),
        pl.col("cause").unique().sort().alias("causes"),
    )


def _judged(wanted: pl.DataFrame, doubts: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit([], dtype=pl.List(pl.String))
    return wanted.join(doubts, on="hour", how="left", maintain_order="left").with_columns(
        pl.col("absent_rows", "suspect_rows").fill_null(0),
        pl.col("causes").fill_null(nothing),
        pl.col("absent_rows").is_null().alias("is_clean"),
    )
