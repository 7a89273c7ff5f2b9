"""One series (a stream of one symbol) while it is brought up to date: what is stored, what came, what is missing.

Belongs here: the state of one ingestion and its one write. Does not belong: asking the doors (`ingest`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl

from eth_pipeline.contracts.clock import HOUR, floor_interval
from eth_pipeline.contracts.table import INSTANT, at
from eth_pipeline.exchange.doubts.findings import Absence
from eth_pipeline.exchange.doubts.gaps import Hole, find_holes
from eth_pipeline.exchange.doubts.instants import Instants, ascending, instant_of, together
from eth_pipeline.exchange.doubts.quarantine import split
from eth_pipeline.exchange.streams import Stream
from eth_pipeline.lake import Lake

Source = Literal["archive", "api"]
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
        self._stored_times = ascending(stored[stream.time_column])
        self._stored_available_at = stored["available_at"].max()
        self.new = self.bad = stream.no_rows
        self._times, self._times_of = self._stored_times, self.new
        self._holes: list[Hole] = []
        self._holes_of: Instants | None = None
        self.doubled: dict[datetime, str] = {}
        self.revised: list[tuple[datetime, str]] = []

    @property
    def name(self) -> str:
        """`klines/ETHUSDT/15m`."""
        interval = [] if self.stream.interval is None else [self.stream.interval]
        return "/".join([self.stream.contract.name, self.symbol, *interval])

    @property
    def times(self) -> Instants:
        """Instants that are stored or came."""
        if self._times_of is not self.new:  # every change of `new` makes another frame
            self._times_of = self.new
            self._times = together(self._stored_times, self.new[self.stream.time_column])
        return self._times

    @property
    def oldest(self) -> datetime | None:
        """Oldest instant that is stored or came."""
        return instant_of(self.times[0]) if len(self.times) else None

    @property
    def newest(self) -> datetime | None:
        """Newest instant that is stored or came."""
        return instant_of(self.times[-1]) if len(self.times) else None

    @property
    def newest_stored(self) -> datetime | None:
        """Newest instant in the lake before this ingestion."""
        return instant_of(self._stored_times[-1]) if len(self._stored_times) else None

    @property
    def newest_available_at(self) -> datetime | None:
        """Newest `available_at` of stored and new rows."""
        known = (self._stored_available_at, self.new["available_at"].max())
        return max((instant for instant in known if isinstance(instant, datetime)), default=None)

    def holes(self) -> list[Hole]:
        """Everything that should be there by now and is not, oldest first."""
        if self._holes_of is not self.times:
            self._holes, self._holes_of = self._found_holes(), self.times
        return self._holes

    def _found_holes(self) -> list[Hole]:
        times = self.times
        step = self._spacing(times)
        newest = self.newest
        first = floor_interval(self._start + step - timedelta(microseconds=1), step)
        if newest is None:
            last = floor_interval(self._now - self.stream.known_after, step)
            return find_holes(times, first=first, last=last, step=step)
        tail_step = self._newest_spacing(times, step)
        last = floor_interval(self._now - self.stream.known_after, tail_step)
        inner = find_holes(times, first=first, last=newest, step=step)
        tail = Hole(newest + tail_step, last, tail_step)
        return [*inner, tail] if tail.rows > 0 else inner

    def gaps(self) -> list[Hole]:
        """Holes between the first and the newest row."""
        oldest, newest = self.oldest, self.newest
        if oldest is None or newest is None:
            return []
        return [hole for hole in self.holes() if oldest < hole.first and hole.last < newest]

    def absence(self, *, never: Callable[[list[Hole]], list[Hole]]) -> Absence:
        """What is not there by now, split into before, inside and after the rows that are."""
        holes = self.holes()
        oldest, newest = self.oldest, self.newest
        if oldest is None or newest is None:
            return Absence(self._start, None, (), (), None, is_empty=True)
        inside = self.gaps()
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
            rows.filter((rows["available_at"] <= self._now) & (rows[self.stream.time_column] >= self._start))
            .with_columns(pl.lit(value).alias(name) for name, value in constants.items())
            .select(list(contract.schema))
        )
        good, bad = split(contract, self._once(rows))
        if self.new.height:
            good = good.join(self.new, on=list(contract.key), how="anti")
        if good.height:
            self.new = pl.concat([self.new, good])
        self.bad = pl.concat([self.bad, bad], how="diagonal")
        if bad.height:
            self.bad = self.bad.unique(contract.key, keep="last", maintain_order=True)

    def _once(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` without repeated instants, which are noted."""
        time = self.stream.time_column
        if rows[time].n_unique() == rows.height:  # the rest of the key is the series'
            return rows
        first = rows.unique(list(self.stream.contract.key), keep="first", maintain_order=True)
        twice = rows.group_by(time).agg(pl.len().alias("n")).filter(pl.col("n") > 1)
        differing = set(rows.unique().filter(pl.col(time).is_duplicated())[time])
        for instant, count in twice.iter_rows():
            how = "with different values, the first was stored" if instant in differing else "with equal values"
            self.doubled[instant] = f"published {count} times in one answer or file, {how}"
        return first

    def drop_from(self, instant: datetime) -> None:
        """Forget new rows at or after `instant`: a door failed there, and what is written must be contiguous."""
        self.new = self.new.filter(pl.col(self.stream.time_column) < instant)

    def from_api(self, *, since: datetime, until: datetime, column: str) -> pl.DataFrame:
        """Instant and `column` of rows between `since` and `until` that came over REST, stored or new."""
        time = self.stream.time_column
        between = (pl.col("source") == "api") & pl.col(time).is_between(at(since), at(until))
        stored = self._lake.read(self.stream.contract, where=self.mine & between, columns=[time, column])
        return pl.concat([stored, self.new.filter(between).select(time, column)])

    def still_bad(self) -> pl.DataFrame:
        """Rows set aside that no door replaced by a good one."""
        if not self.bad.height:
            return self.bad
        times = pl.Series(self.times).cast(INSTANT)
        return self.bad.filter(~pl.col(self.stream.time_column).is_in(times.implode()))

    def _spacing(self, times: Instants) -> timedelta:
        """Distance of two rows: the step, or for sparser recordings the most frequent distance."""
        step = self.stream.step
        if self.stream.spacing != "observed" or len(times) < _ROWS_THAT_SHOW_A_SPACING:
            return step
        distances, counts = np.unique(np.diff(times), return_counts=True)
        return max(step, timedelta(microseconds=int(distances[counts.argmax()])))

    def _newest_spacing(self, times: Instants, step: timedelta) -> timedelta:
        """Distance after which the next row is due: shorter than `step` where settlements come more often."""
        if self.stream.spacing != "at_most" or len(times) < 2:
            return step
        smallest = timedelta(microseconds=int(np.diff(times[-4:]).min()))
        return min(step, max(HOUR, smallest))
