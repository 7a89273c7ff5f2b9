"""What one ingestion found wrong with one series: absent instants, refused rows, doubled and corrected ones.

Belongs here: turning what a `Series` and its doors saw into rows of one shape. Does not belong: the ledger's
memory (`ledger`), bars doubted by comparison (`suspects`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.quality import Cause, Status
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.exchange.doubts.gaps import Hole

FINDING: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "time": INSTANT,
    "cause": pl.String,
    "status": pl.String,
    "repair_source": pl.String,
    "detail": pl.String,
}
NOTHING_FOUND = pl.DataFrame(schema=FINDING)
REFUSED_CAUSES = (Cause.ZERO, Cause.INCOMPLETE, Cause.IMPOSSIBLE)
# A tail longer than this is a backfill that is not through or an outage that freshness names; not rows that are late.
_LONGEST_LATE = timedelta(days=7)
_CAUSE_OF_RULE = {
    "open interest positive": Cause.ZERO,
    "ratios positive": Cause.ZERO,
    "positive prices": Cause.ZERO,
    "a value is missing": Cause.INCOMPLETE,
    "a ratio is there": Cause.INCOMPLETE,
    "open_time is on the interval's grid": Cause.OFF_GRID,
}


@dataclass(frozen=True)
class Absence:
    """What of one series is not there, as holes; the same on every run until something changes.

    Attributes:
        head: first published instant where that is later than the first wanted one; None where nothing is before.
        start: first instant wanted.
        gaps: holes between the first and the newest row.
        never: those of `gaps` that both doors answered without long after their time.
        tail: what was due and is not there.
        is_empty: the series has no row at all.
    """

    start: datetime
    head: datetime | None
    gaps: tuple[Hole, ...]
    never: tuple[Hole, ...]
    tail: Hole | None
    is_empty: bool

    @property
    def digest(self) -> str:
        """Changes exactly when the ledger must be looked at."""
        parts = [self.start, self.head, self.is_empty, *self.gaps, "never", *self.never, "tail", self.tail]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def findings(self, symbol: str) -> pl.DataFrame:
        """One row per absent instant, and one for the time before the first row."""
        never = set(self.never)
        rows = [_instants(hole, Cause.MISSING, Status.NEVER_EXISTED, "no door ever had it") for hole in never]
        rows += [
            _instants(hole, Cause.MISSING, Status.OPEN, "no door has it yet") for hole in self.gaps if hole not in never
        ]
        if self.tail is not None and not self.is_empty and self.tail.rows * self.tail.step <= _LONGEST_LATE:
            rows.append(_instants(self.tail, Cause.LATE, Status.OPEN, "due and not published when looked for"))
        if self.is_empty:
            rows.append(_one(self.start, Cause.NOT_LISTED, Status.OPEN, "no door has any row of this series"))
        elif self.head is not None:
            detail = f"nothing is published from {iso(self.start)} until {iso(self.head)}"
            rows.append(_one(self.start, Cause.NOT_LISTED, Status.NEVER_EXISTED, detail))
        return _of_symbol(rows, symbol)


def refused_rows(bad: pl.DataFrame, *, time_column: str, symbol: str) -> pl.DataFrame:
    """Findings of rows set aside with their `broken_rule`."""
    if not bad.height:
        return NOTHING_FOUND
    cause = pl.col("broken_rule").replace_strict(
        {rule: str(cause) for rule, cause in _CAUSE_OF_RULE.items()},
        default=str(Cause.IMPOSSIBLE),
        return_dtype=pl.String,
    )
    return _of_symbol(
        [
            bad.select(
                pl.col(time_column).alias("time"),
                cause.alias("cause"),
                pl.lit(str(Status.REFUSED)).alias("status"),
                pl.lit(None, dtype=pl.String).alias("repair_source"),
                ("refused: " + pl.col("broken_rule")).alias("detail"),
            )
        ],
        symbol,
    )


def events(times: Iterable[tuple[datetime, str]], *, cause: Cause, status: Status, symbol: str) -> pl.DataFrame:
    """Findings that happened once, from (instant, sentence) pairs."""
    return _of_symbol([_one(time, cause, status, detail) for time, detail in times], symbol)


def _instants(hole: Hole, cause: Cause, status: Status, detail: str) -> pl.DataFrame:
    times = pl.datetime_range(hole.first, hole.last, hole.step, time_unit="us", time_zone="UTC", eager=True)
    return pl.DataFrame({"time": times}).with_columns(
        pl.lit(str(cause)).alias("cause"),
        pl.lit(str(status)).alias("status"),
        pl.lit(None, dtype=pl.String).alias("repair_source"),
        pl.lit(detail).alias("detail"),
    )


def _one(time: datetime, cause: Cause, status: Status, detail: str) -> pl.DataFrame:
    values = {"time": time, "cause": str(cause), "status": str(status), "repair_source": None, "detail": detail}
    return pl.DataFrame([values], schema={name: FINDING[name] for name in values})


def _of_symbol(rows: Sequence[pl.DataFrame], symbol: str) -> pl.DataFrame:
    if not rows:
        return NOTHING_FOUND
    return pl.concat(rows).with_columns(pl.lit(symbol).alias("symbol")).select(list(FINDING))
