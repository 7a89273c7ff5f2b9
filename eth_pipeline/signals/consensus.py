"""Consensus of the base strategy over timeframes, from closed bars only.

Belongs here: which bars of which timeframe count at a decision time, their weights, and how scores become one
strength and direction. Does not belong: the scores (`strategy`), forecasts and sizes (`decision`).

The strength is the weighted mean of (buy - sell), then
  - resonance: times 0.5 + the share of weight that agrees in sign (all agree: 1.5, an even split: 1.0);
  - tone: halved where it opposes the mean of the large timeframes (4h and longer);
  - scaled by `FULL_AGREEMENT`, the weighted mean that counts as full strength, and cut at 100.
"""

from datetime import datetime
from types import MappingProxyType

import polars as pl

from eth_pipeline.contracts.clock import floor_hour
from eth_pipeline.contracts.signal import Action, ConsensusSnapshot, TimeframeScore
from eth_pipeline.features.bars import INTERVALS, aggregate
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.strategy import WINDOW_BARS

WEIGHTS: MappingProxyType[str, float] = MappingProxyType(
    {"15m": 3.0, "30m": 5.0, "1h": 8.0, "4h": 15.0, "8h": 20.0, "24h": 28.0}
)
LARGE_TIMEFRAMES = ("4h", "8h", "24h")
HISTORY_NEEDED = INTERVALS["24h"] * (WINDOW_BARS + 1)
"""How much of the newest history a caller must read for all timeframes."""
FULL_AGREEMENT = 25.0
"""Families disagree by design, so the weighted mean is small: on hourly ETHUSDT bars 2019-11 to 2025-06 (1h and
longer timeframes) the strength passes 40 in 26 % of hours at 25, 16 % at 35, 8 % at 50. Chosen by that spread, not
by outcomes."""


def timeframe_bars(
    klines: pl.DataFrame, *, symbol: str, base_interval: str, decision_time: datetime
) -> dict[str, pl.DataFrame]:
    """Closed bars per timeframe, known at or before `decision_time`, oldest first.

    A timeframe is left out when its newest bar started two or more of its own intervals before
    `decision_time`, that is when a newer bar should have closed: a 1h bar must close exactly at the full hour,
    a 24h bar at the last UTC midnight. Indicators of yesterday are not silently used today.

    Args:
        klines: rows of `KLINES`; other symbols, intervals and later rows may be there and are ignored.
        symbol: the traded symbol.
        base_interval: the ingested bar size; smaller timeframes do not exist.
        decision_time: a full hour, UTC.

    Raises:
        ValueError: `decision_time` is no full hour.
    """
    if floor_hour(decision_time) != decision_time:
        raise ValueError(f"{decision_time} is no full hour. Decisions are made at bar close: pass floor_hour(now).")
    base = klines.filter(
        (pl.col("symbol") == symbol)
        & (pl.col("interval") == base_interval)
        & (pl.col("close_time") <= decision_time)
        & (pl.col("available_at") <= decision_time)
    )
    found = {}
    for timeframe in WEIGHTS:
        length = INTERVALS[timeframe]
        if length < INTERVALS[base_interval]:
            continue
        bars = aggregate(base, interval=timeframe, base_interval=base_interval)
        if bars.height and decision_time - bars["open_time"][-1] < 2 * length:
            found[timeframe] = bars
    return found


def build_consensus(scores: tuple[TimeframeScore, ...], *, settings: SignalSettings) -> ConsensusSnapshot:
    """Combine the timeframes that are there; those that are not lower the coverage.

    The direction is HOLD where the strength or the coverage is below its setting.
    """
    coverage = sum(WEIGHTS[score.timeframe] for score in scores) / sum(WEIGHTS.values())
    signed = _signed_strength(scores)
    acts = abs(signed) >= settings.min_consensus_strength and coverage >= settings.min_consensus_coverage
    return ConsensusSnapshot(
        scores=scores,
        weights=dict(WEIGHTS),
        coverage=coverage,
        strength=abs(signed),
        direction=(Action.LONG if signed > 0 else Action.SHORT) if acts and signed else Action.HOLD,
    )


def signed_strength(snapshot: ConsensusSnapshot) -> float:
    """Strength of a snapshot with its sign, -100..100; also where the direction is HOLD."""
    return _signed_strength(snapshot.scores)


def weighted_scores(snapshot: ConsensusSnapshot) -> tuple[float, float]:
    """Buy and sell score (0-100) over all timeframes of a snapshot; zeros where there are none."""
    weight = sum(WEIGHTS[score.timeframe] for score in snapshot.scores)
    if not weight:
        return 0.0, 0.0
    buy = sum(WEIGHTS[score.timeframe] * score.buy_score for score in snapshot.scores)
    sell = sum(WEIGHTS[score.timeframe] * score.sell_score for score in snapshot.scores)
    return buy / weight, sell / weight


def _signed_strength(scores: tuple[TimeframeScore, ...]) -> float:
    total = _mean(scores)
    if not total:
        return 0.0
    weight = sum(WEIGHTS[score.timeframe] for score in scores)
    agreeing = sum(WEIGHTS[s.timeframe] for s in scores if (s.buy_score - s.sell_score) * total > 0)
    tone = _mean(tuple(score for score in scores if score.timeframe in LARGE_TIMEFRAMES))
    strength = abs(total) / FULL_AGREEMENT * 100 * (0.5 + agreeing / weight) * (0.5 if tone * total < 0 else 1.0)
    return min(strength, 100.0) * (1 if total > 0 else -1)


def _mean(scores: tuple[TimeframeScore, ...]) -> float:
    weight = sum(WEIGHTS[score.timeframe] for score in scores)
    if not weight:
        return 0.0
    return sum(WEIGHTS[score.timeframe] * (score.buy_score - score.sell_score) for score in scores) / weight
