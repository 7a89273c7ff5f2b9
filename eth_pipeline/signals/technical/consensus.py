"""Consensus of the base strategy over timeframes, from closed bars only.

Belongs here: which bars of which timeframe count at a decision time, their weights, and how scores become one
snapshot. Does not belong: the scores (`strategy`), what they say together (`resonance`), a whole history of it
(`consensus_history`), forecasts and sizes (`signals.decision`).

A snapshot holds everything that made it, weights and limits included, so `replay` needs no settings and gives the
same decision also after a setting was changed.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import polars as pl

from eth_pipeline.contracts.clock import floor_hour
from eth_pipeline.contracts.signal import Action, ConsensusRule, ConsensusSnapshot, TimeframeScore
from eth_pipeline.features.bars import INTERVALS, aggregate
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.technical.resonance import resonate
from eth_pipeline.signals.technical.strategy import WINDOW_BARS

WEIGHTS: MappingProxyType[str, float] = MappingProxyType(
    {"15m": 3.0, "30m": 5.0, "1h": 8.0, "4h": 15.0, "8h": 20.0, "24h": 28.0}
)
LARGE_TIMEFRAMES = ("4h", "8h", "24h")
HISTORY_NEEDED = INTERVALS["24h"] * (WINDOW_BARS + 1)
"""How much of the newest history counts, and a caller must read: a gap never makes a window reach further back, so
the answer does not depend on where the history starts."""
FULL_AGREEMENT = 25.0
"""Families disagree by design, so the weighted mean is small: on hourly ETHUSDT bars 2019-11 to 2025-06 (1h and
longer timeframes) the strength passes 40 in 24 % of hours at 25, 15 % at 35, 8 % at 50. Chosen by that spread, not
by outcomes (`python benchmarks/decisions.py FOLDER`, 2026-11-22)."""


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
        & (pl.col("open_time") >= decision_time - HISTORY_NEEDED)
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
    rule = ConsensusRule(
        min_strength=settings.min_consensus_strength,
        min_coverage=settings.min_consensus_coverage,
        full_agreement=FULL_AGREEMENT,
        large_timeframes=LARGE_TIMEFRAMES,
    )
    return _combine(scores, weights=WEIGHTS, rule=rule)


def replay(snapshot: ConsensusSnapshot) -> ConsensusSnapshot:
    """Decide again from the scores, weights and limits that a snapshot holds.

    Raises:
        ValueError: the snapshot has scores and no rule: it was stored before rules were.
    """
    if snapshot.rule is None:
        if snapshot.scores:
            raise ValueError(
                "This consensus snapshot does not say which limits made it. Compute the hour again from its bars "
                "(`consensus_history`) instead of replaying it."
            )
        return snapshot
    return _combine(snapshot.scores, weights=snapshot.weights, rule=snapshot.rule)


def signed_strength(snapshot: ConsensusSnapshot) -> float:
    """Strength of a snapshot with its sign, -100..100; also where the direction is HOLD."""
    if snapshot.rule is None:
        return 0.0
    return resonate(snapshot.scores, weights=_by_length(snapshot.weights), rule=snapshot.rule).signed


def weighted_scores(snapshot: ConsensusSnapshot) -> tuple[float, float]:
    """Buy and sell score (0-100) over all timeframes of a snapshot; zeros where there are none."""
    weights = snapshot.weights
    weight = sum(weights[score.timeframe] for score in snapshot.scores)
    if not weight:
        return 0.0, 0.0
    buy = sum(weights[score.timeframe] * score.buy_score for score in snapshot.scores)
    sell = sum(weights[score.timeframe] * score.sell_score for score in snapshot.scores)
    return buy / weight, sell / weight


def _combine(
    scores: tuple[TimeframeScore, ...], *, weights: Mapping[str, float], rule: ConsensusRule
) -> ConsensusSnapshot:
    coverage = sum(weights[score.timeframe] for score in scores) / sum(weights.values())
    found = resonate(scores, weights=_by_length(weights), rule=rule)
    acts = abs(found.signed) >= rule.min_strength and coverage >= rule.min_coverage and found.signed
    return ConsensusSnapshot(
        scores=scores,
        weights=dict(weights),
        coverage=coverage,
        strength=abs(found.signed),
        direction=(Action.LONG if found.signed > 0 else Action.SHORT) if acts else Action.HOLD,
        chain=found.chain,
        tone=found.tone,
        rule=rule,
    )


def _by_length(weights: Mapping[str, float]) -> dict[str, float]:
    """Smallest timeframe first, whatever a reader of JSON did to the order: it says who are neighbours."""
    return dict(sorted(weights.items(), key=lambda item: INTERVALS[item[0]]))
