"""One series (a stream of one symbol) while it is brought up to date: what is stored, what came, what is missing.

Belongs here: the state of one ingestion and its one write. Does not belong: asking the doors (`ingest`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from eth_pipeline.contracts.clock import HOUR, floor_interval
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.exchange.findings import Absence
from eth_pipeline.exchange.gaps import Hole, find_holes
from eth_pipeline.exchange.quarantine import split
from eth_pipeline.exchange.streams import Stream
from eth_pipeline.lake import Lake, Upsert

Source = Literal["archive", "api"]
_ORIGIN_COLUMNS = ("available_at", "source", "provenance")
_ROWS_THAT_SHOW_A_SPACING = 10


class Series:
    """Rows of one symbol: stored ones by their instants, new ones in full.

    Args:
        now: exchange time; rows not known by then are never kept.
        history_start: the first instant wanted.
        stored: instants and `available_at` of the stored rows, where they were read already.
    """

    def __init__(
        self,
        lake: Lake,
        stream: Stream,
        symbol: str,
        *,
        now: datetime,
        history_start: datetime,
        stored: pl.DataFrame | None = None,
    ) -> None:
        self.stream = stream
        self.symbol = symbol
        self._lake = lake
        self._now = now
        self._start = max(history_start, stream.archive_since)
        self.mine = pl.col("symbol") == symbol
        if stream.interval is not None:
            self.mine = self.mine & (pl.col("interval") == stream.interval)
        if stored is None:
            stored = lake.read(stream.contract, where=self.mine, columns=[stream.time_column, "available_at"])
        self.stored = stored
        self._stored_times = stored[stream.time_column].unique().sort()
        self._times, self._times_of = self._stored_times, pl.DataFrame()
        self._holes: list[Hole] = []
        self._holes_of: pl.Series | None = None
        self.new = stream.contract.empty()
        self.bad = stream.contract.empty()
        self.doubled: dict[datetime, str] = {}
        self.revised: list[tuple[datetime, str]] = []

    @property
    def name(self) -> str:
        """`klines/ETHUSDT/15m`."""
        interval = [] if self.stream.interval is None else [self.stream.interval]
        return "/".join([self.stream.contract.name, self.symbol, *interval])

    @property
    def times(self) -> pl.Series:
        """Instants that are stored or came, sorted."""
        column = self.stream.time_column
        if self._times_of is not self.new:  # every change of `new` makes another frame
            fresh = self.new[column]
            self._times_of = self.new
            self._times = pl.concat([self._stored_times, fresh]).unique().sort() if len(fresh) else self._stored_times
        return self._times

    @property
    def newest_stored(self) -> datetime | None:
        """Newest instant in the lake before this ingestion."""
        newest = self.stored[self.stream.time_column].max()
        return newest if isinstance(newest, datetime) else None

    @property
    def newest_available_at(self) -> datetime | None:
        """Newest `available_at` of stored and new rows."""
        newest = pl.concat([self.stored["available_at"], self.new["available_at"]]).max()
        return newest if isinstance(newest, datetime) else None

    def holes(self) -> list[Hole]:
        """Everything that should be there by now and is not, oldest first."""
        if self._holes_of is not self.times:
            self._holes, self._holes_of = self._found_holes(), self.times
        return self._holes

    def _found_holes(self) -> list[Hole]:
        times = self.times
        step = self._spacing(times)
        newest = times.max()
        first = floor_interval(self._start + step - timedelta(microseconds=1), step)
        if not isinstance(newest, datetime):
            last = floor_interval(self._now - self.stream.known_after, step)
            return find_holes(times, first=first, last=last, step=step)
        tail_step = self._newest_spacing(times, step)
        last = floor_interval(self._now - self.stream.known_after, tail_step)
        inner = find_holes(times, first=first, last=newest, step=step)
        tail = Hole(newest + tail_step, last, tail_step)
        return [*inner, tail] if tail.rows > 0 else inner

    def gaps(self) -> list[Hole]:
        """Holes between the first and the newest row."""
        oldest, newest = self.times.min(), self.times.max()
        if not (isinstance(oldest, datetime) and isinstance(newest, datetime)):
            return []
        return [hole for hole in self.holes() if oldest < hole.first and hole.last < newest]

    def absence(self, *, never: Callable[[list[Hole]], list[Hole]]) -> Absence:
        """What is not there by now, split into before, inside and after the rows that are."""
        holes = self.holes()
        oldest, newest = self.times.min(), self.times.max()
        if not (isinstance(oldest, datetime) and isinstance(newest, datetime)):
            return Absence(self._start, None, (), (), None, is_empty=True)
        inside = [hole for hole in holes if oldest < hole.first and hole.last < newest]
        tails = [hole for hole in holes if hole.first > newest]
        is_later = any(hole.first < oldest for hole in holes)
        head = oldest if is_later else None
        return Absence(
            self._start, head, tuple(inside), tuple(never(inside)), tails[0] if tails else None, is_empty=False
        )

    def take(self, rows: pl.DataFrame, *, source: Source, provenance: str) -> None:
        """Add rows of one door. The first row of an instant wins; unfinished ones are dropped, bad ones set aside."""
        contract = self.stream.contract
        constants = {"symbol": self.symbol, "source": source, "provenance": provenance}
        if self.stream.interval is not None:
            constants["interval"] = self.stream.interval
        rows = (
            rows.filter(pl.col("available_at") <= self._now, pl.col(self.stream.time_column) >= self._start)
            .with_columns(pl.lit(value).alias(name) for name, value in constants.items())
            .select(list(contract.schema))
        )
        rows = self._once(rows)
        good, bad = split(contract, rows)
        fresh = good.join(self.new, on=list(contract.key), how="anti")
        self.new = pl.concat([self.new, fresh])
        self.bad = pl.concat([self.bad, bad], how="diagonal").unique(contract.key, keep="last", maintain_order=True)

    def _once(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` without repeated instants, which are noted."""
        key = list(self.stream.contract.key)
        first = rows.unique(key, keep="first", maintain_order=True)
        if first.height == rows.height:
            return rows
        time = self.stream.time_column
        twice = rows.group_by(time).agg(pl.len().alias("n")).filter(pl.col("n") > 1)
        differing = set(rows.unique().filter(pl.col(time).is_duplicated())[time])
        for instant, count in twice.iter_rows():
            how = "with different values, the first was stored" if instant in differing else "with equal values"
            self.doubled[instant] = f"published {count} times in one answer or file, {how}"
        return first

    def drop_from(self, instant: datetime) -> None:
        """Forget new rows at or after `instant`: a door failed there, and what is written must be contiguous."""
        self.new = self.new.filter(pl.col(self.stream.time_column) < instant)

    def again(self) -> pl.Series:
        """Instants of new rows that are stored already."""
        return self.new.join(self.stored, on=self.stream.time_column, how="semi")[self.stream.time_column]

    def wanted(self, known: pl.DataFrame) -> tuple[pl.DataFrame, Upsert]:
        """What is new or differs from what is stored, and how much of each; for one atomic upsert.

        A stored row stays as it is when only its door differs, or where the new one merely knows less.

        Args:
            known: the stored rows of the instants of `again`, more or of other symbols do no harm.
        """
        self.new = self.new.sort(self.stream.time_column)
        fresh = self.new.join(self.stored, on=self.stream.time_column, how="anti")
        revisions = self._revisions(known)
        return pl.concat([fresh, revisions]), Upsert(fresh.height, revisions.height, 0, None)

    def from_api(self, *, since: datetime, until: datetime, column: str) -> pl.DataFrame:
        """Instant and `column` of rows between `since` and `until` that came over REST, stored or new."""
        time = self.stream.time_column
        between = (pl.col("source") == "api") & pl.col(time).is_between(pl.lit(since, INSTANT), pl.lit(until, INSTANT))
        stored = self._lake.read(self.stream.contract, where=self.mine & between, columns=[time, column])
        return pl.concat([stored, self.new.filter(between).select(time, column)])

    def still_bad(self) -> pl.DataFrame:
        """Rows set aside that no door replaced by a good one."""
        if not self.bad.height:
            return self.bad
        return self.bad.filter(~pl.col(self.stream.time_column).is_in(self.times.implode()))

    def _revisions(self, known: pl.DataFrame) -> pl.DataFrame:
        """New rows whose values contradict the stored row of their key."""
        contract = self.stream.contract
        again = self.new.join(self.stored, on=self.stream.time_column, how="semi")
        if not again.height:
            return again
        values = [name for name in contract.schema if name not in (*contract.key, *_ORIGIN_COLUMNS)]
        differs = pl.any_horizontal(
            pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_stored")) for name in values
        )
        joined = again.join(known, on=list(contract.key), how="inner", suffix="_stored").filter(differs)
        self.revised = [(time, "published again with other values") for time in joined[self.stream.time_column]]
        return joined.with_columns(pl.coalesce(name, f"{name}_stored").alias(name) for name in values).select(
            list(contract.schema)
        )

    def _spacing(self, times: pl.Series) -> timedelta:
        """Distance of two rows: the step, or for sparser recordings the most frequent distance."""
        step = self.stream.step
        if self.stream.spacing != "observed" or len(times) < _ROWS_THAT_SHOW_A_SPACING:
            return step
        usual = times.diff().drop_nulls().mode().sort()[0]
        return max(step, usual) if isinstance(usual, timedelta) else step

    def _newest_spacing(self, times: pl.Series, step: timedelta) -> timedelta:
        """Distance after which the next row is due: shorter than `step` where settlements come more often."""
        if self.stream.spacing != "at_most" or len(times) < 2:
            return step
        smallest = times.tail(4).diff().min()
        return min(step, max(HOUR, smallest)) if isinstance(smallest, timedelta) else step
