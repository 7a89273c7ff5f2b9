"""What the exchange shows at a virtual instant: the market cut at now, with faults laid over it.

Belongs here: visibility, the open bar, row faults. Does not belong: parameters and JSON (`rest`), files (`archive`).

- A bar exists from its open time on. The last one is still open: it is made of the base steps that are over,
  plus the open price of the step under way with a share of that step's volume. Nothing else of it is known.
- A settlement exists from its funding time on, an open-interest snapshot from the end of its period on.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.sandbox.bar_streams import BarStream
from eth_pipeline.sandbox.clock import VirtualClock
from eth_pipeline.sandbox.faults import ROW_EDITS, Door, FaultBoard
from eth_pipeline.sandbox.market import INTERVALS_MS, VOLUMES, Market, aggregate, place

TIME_COLUMN = {"funding_rates": "funding_time", "open_interest": "period_end", "positioning": "period_end"}


class Bars(NamedTuple):
    """Visible bars in order, and the closeTime (milliseconds) of the open one among them, if a fault changed it."""

    frame: pl.DataFrame
    open_bar_close_time: int | None


class View:
    """The market as both doors of the exchange show it."""

    def __init__(self, market: Market, clock: VirtualClock, faults: FaultBoard) -> None:
        self.market, self.clock, self.faults = market, clock, faults
        self._base_ms = int(market.base_interval / timedelta(milliseconds=1))
        self._aggregated: dict[tuple[str, str, int], tuple[pl.DataFrame, pl.DataFrame]] = {}

    def has_interval(self, interval: str) -> bool:
        """Whether bars of `interval` can be made from the market's base bars."""
        return INTERVALS_MS.get(interval, 0) >= self._base_ms and INTERVALS_MS[interval] % self._base_ms == 0

    def horizon(self, door: Door, stream: str, symbol: str) -> datetime:
        """The instant up to which `stream` is published: now, or where a `stale` fault stopped it."""
        now = self.clock.now()
        stops = [
            fault.since
            for fault in self.faults.hitting("horizon", door=door, stream=stream, symbol=symbol)
            if fault.kind == "stale" and fault.since is not None
        ]
        return min([now, *stops])

    def closed_bars(self, door: Door, stream: BarStream, symbol: str, interval: str) -> pl.DataFrame:
        """Bars that have ended by the horizon, row faults applied."""
        frame = self._closed(stream, symbol, INTERVALS_MS[interval], self.horizon(door, stream, symbol))
        return self._edited(frame, door=door, stream=stream, symbol=symbol)

    def bars(self, stream: BarStream, symbol: str, interval: str) -> Bars:
        """What REST shows: closed bars and the open one. A stale stream has no open bar."""
        size_ms, now = INTERVALS_MS[interval], self.clock.now()
        horizon = self.horizon("rest", stream, symbol)
        if horizon < now:
            return Bars(self.closed_bars("rest", stream, symbol, interval), None)
        settled_by = self._settled_by(stream, symbol, now)
        closed = self._closed(stream, symbol, size_ms, settled_by)
        parts = [closed, self._unsettled(stream, symbol, size_ms, settled_by, now)]
        frame = self._edited(pl.concat(parts), door="rest", stream=stream, symbol=symbol)
        looks_closed = any(
            fault.kind == "unfinished"
            for fault in self.faults.hitting("rows", door="rest", stream=stream, symbol=symbol)
        )
        return Bars(frame, to_milliseconds(now) - 1 if looks_closed else None)

    def funding(self, door: Door, symbol: str) -> pl.DataFrame:
        """Settlements up to the horizon."""
        horizon = self.horizon(door, "funding_rates", symbol)
        frame = _up_to(self.market.funding(symbol, until=horizon), "funding_time", to_milliseconds(horizon))
        return self._edited(frame, door=door, stream="funding_rates", symbol=symbol)

    def open_interest(self, door: Door, symbol: str, *, stream: str = "open_interest") -> pl.DataFrame:
        """Snapshots up to the horizon; `stream` says whose faults apply, `open_interest` or `positioning`."""
        horizon = self.horizon(door, stream, symbol)
        frame = _up_to(self.market.open_interest(symbol, until=horizon), "period_end", to_milliseconds(horizon))
        return self._edited(frame, door=door, stream=stream, symbol=symbol)

    def _settled_by(self, stream: str, symbol: str, now: datetime) -> datetime:
        late = [
            fault.seconds
            for fault in self.faults.hitting("horizon", door="rest", stream=stream, symbol=symbol)
            if fault.kind == "late_bar"
        ]
        return now - timedelta(seconds=max(late, default=0.0))

    def _closed(self, stream: BarStream, symbol: str, size_ms: int, by: datetime) -> pl.DataFrame:
        base = self.market.bars(stream, symbol, until=by)
        by_ms = to_milliseconds(by)
        return _up_to(self._sized(base, stream, symbol, size_ms), "open_time", by_ms - size_ms)

    def _sized(self, base: pl.DataFrame, stream: str, symbol: str, size_ms: int) -> pl.DataFrame:
        if size_ms == self._base_ms:
            return base
        held = self._aggregated.get((stream, symbol, size_ms))
        if held is None or held[0] is not base:
            held = (base, aggregate(base, interval_ms=size_ms))
            self._aggregated[(stream, symbol, size_ms)] = held
        return held[1]

    def _unsettled(self, stream: BarStream, symbol: str, size_ms: int, by: datetime, now: datetime) -> pl.DataFrame:
        """Bars open at `now` or not settled by then, from what was known at `by`; usually the one open bar."""
        base = self.market.bars(stream, symbol, until=now)
        by_ms, now_ms = to_milliseconds(by), to_milliseconds(now)
        begins = place(base["open_time"], by_ms // size_ms * size_ms, side="left")
        ends = place(base["open_time"], now_ms, side="right")
        seen = base.slice(begins, ends - begins)
        passed = ((by_ms - pl.col("open_time")) / self._base_ms).clip(0.0, 1.0)
        known = seen.with_columns(
            *[pl.when(passed < 1.0).then(pl.col("open")).otherwise(pl.col(name)).alias(name) for name in _AFTER_OPEN],
            *[(pl.col(name) * passed).cast(base.schema[name]).alias(name) for name in VOLUMES],
        )
        return known if size_ms == self._base_ms else aggregate(known, interval_ms=size_ms)

    def _edited(self, frame: pl.DataFrame, *, door: Door, stream: str, symbol: str) -> pl.DataFrame:
        time = TIME_COLUMN.get(stream, "open_time")
        for fault in self.faults.hitting("rows", door=door, stream=stream, symbol=symbol):
            edit = ROW_EDITS.get(fault.kind)
            frame = edit(fault, frame, time) if edit else frame
        return frame


_AFTER_OPEN = ("high", "low", "close")


def _up_to(frame: pl.DataFrame, column: str, last_ms: int) -> pl.DataFrame:
    """Rows whose `column` is at or before `last_ms`; the frame is sorted by it."""
    return frame.head(place(frame[column], last_ms, side="right"))
