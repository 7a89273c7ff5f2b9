"""The consensus of every hour of a span, as the hour itself would have computed it.

Belongs here: scoring whole histories at once and finding each hour's bars in them. Does not belong: what counts at
one hour (`consensus.timeframe_bars` is the rule, this follows it), storing the rows.

Each timeframe is scored once over the whole history; an hour then only looks its newest closed bar up. That is exact
because a score reads `WINDOW_BARS` bars and nothing before them. It does not hold for an hour at which a bar had
closed and was not yet known: such hours (few, or none in an archive) are computed one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.signal import ConsensusSnapshot, TimeframeScore
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.features.bars import INTERVALS, aggregate
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.technical.consensus import HISTORY_NEEDED, WEIGHTS, build_consensus, timeframe_bars
from eth_pipeline.signals.technical.strategy import WINDOW_BARS, ScoredBars, score_bars, score_timeframe

_Micros = NDArray[np.int64]


@dataclass(frozen=True)
class _Timeframe:
    """Scored bars of one timeframe with their times in microseconds since the epoch, [bars]."""

    scored: ScoredBars
    open_time: _Micros
    close_time: _Micros
    length: int

    def row_at(self, instant: int) -> int | None:
        """The bar that counts at `instant`; None where `timeframe_bars` has none, or too few before it."""
        row = int(np.searchsorted(self.close_time, instant, side="right")) - 1
        first = row - (WINDOW_BARS - 1)
        if first < 0 or instant - self.open_time[row] >= 2 * self.length:
            return None
        return row if self.open_time[first] >= instant - _micros(HISTORY_NEEDED) else None


def consensus_history(
    klines: pl.DataFrame,
    *,
    symbol: str,
    base_interval: str,
    decision_times: Sequence[datetime],
    settings: SignalSettings,
) -> dict[datetime, ConsensusSnapshot]:
    """The snapshot of each hour; equal to the one that the hour itself computes from the same rows.

    Args:
        klines: rows of `KLINES` from `HISTORY_NEEDED` before the first hour on; other symbols, intervals and later
            rows may be there and are ignored.
        symbol: the traded symbol.
        base_interval: the ingested bar size; smaller timeframes do not exist.
        decision_times: full hours, UTC.
        settings: limits of the direction.

    Raises:
        ValueError: one of the times is no full hour.
    """
    odd = [time for time in decision_times if floor_hour(time) != time]
    if odd:
        raise ValueError(f"{odd[0]} is no full hour. Decisions are made at bar close: pass floor_hour(now).")
    ours = (pl.col("symbol") == symbol) & (pl.col("interval") == base_interval)
    base = klines.filter(ours).sort("open_time")
    late = _hours_with_late_bars(base)
    timeframes = [
        _timeframe(aggregate(base, interval=name, base_interval=base_interval), name)
        for name in WEIGHTS
        if INTERVALS[name] >= INTERVALS[base_interval]
    ]
    known: dict[tuple[str, int], TimeframeScore | None] = {}
    snapshots = {}
    for time in decision_times:
        if time in late:
            scores = _scores_alone(base, symbol=symbol, base_interval=base_interval, decision_time=time)
        else:
            found = [(frame, frame.row_at(_micros_of(time))) for frame in timeframes]
            scores = tuple(_score(frame, row, known) for frame, row in found if row is not None)
        there = tuple(score for score in scores if score is not None)
        snapshots[time] = build_consensus(there, settings=settings)
    return snapshots


def _timeframe(bars: pl.DataFrame, name: str) -> _Timeframe:
    return _Timeframe(
        scored=score_bars(bars, timeframe=name),
        open_time=_instants(bars["open_time"]),
        close_time=_instants(bars["close_time"]),
        length=_micros(INTERVALS[name]),
    )


def _score(frame: _Timeframe, row: int, known: dict[tuple[str, int], TimeframeScore | None]) -> TimeframeScore | None:
    """One bar counts for many hours (a 24h bar for 24) and is put into words once."""
    key = (frame.scored.timeframe, row)
    if key not in known:
        known[key] = frame.scored.at(row)
    return known[key]


def _scores_alone(
    base: pl.DataFrame, *, symbol: str, base_interval: str, decision_time: datetime
) -> tuple[TimeframeScore | None, ...]:
    frames = timeframe_bars(base, symbol=symbol, base_interval=base_interval, decision_time=decision_time)
    return tuple(score_timeframe(bars, timeframe=name) for name, bars in frames.items())


def _hours_with_late_bars(base: pl.DataFrame) -> set[datetime]:
    """Full hours at which a bar had closed and was not yet known."""
    hours: set[datetime] = set()
    late = base.filter(pl.col("available_at") > pl.col("close_time")).select("close_time", "available_at")
    for closed, available in late.iter_rows():
        hour = floor_hour(closed)
        hour = hour if hour == closed else hour + HOUR
        while hour < available:
            hours.add(hour)
            hour += HOUR
    return hours


def _instants(times: pl.Series) -> _Micros:
    return times.cast(INSTANT).to_physical().to_numpy().astype(np.int64)


def _micros_of(time: datetime) -> int:
    return _micros(time - _EPOCH)


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
