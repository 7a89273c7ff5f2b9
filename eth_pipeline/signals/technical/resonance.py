"""What the timeframes say together: their sum, the chain of neighbours that agree, the tone of the large ones.

Belongs here: arithmetic over the scores of one decision time. Does not belong: which bars count (`consensus`), the
scores (`strategy`).

The strength is the weighted mean of (buy - sell), then
  - resonance: times 0.5 + the share of weight in the heaviest chain: neighbouring timeframes, none missing between
    them, that agree in sign with the mean (all agree: 1.5). Agreement of scattered timeframes is no chain: 15m and
    24h may well agree by chance while everything between them says the opposite;
  - tone: halved where it opposes the mean of the large timeframes;
  - scaled by `ConsensusRule.full_agreement`, the weighted mean that counts as full strength, and cut at 100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_pipeline.contracts.signal import ConsensusRule, TimeframeScore


@dataclass(frozen=True)
class Resonance:
    """What scores say together: `signed` strength -100..100, the agreeing `chain`, the `tone` -100..100."""

    signed: float
    chain: tuple[str, ...]
    tone: float


def resonate(scores: Sequence[TimeframeScore], *, weights: Mapping[str, float], rule: ConsensusRule) -> Resonance:
    """Combine scores of distinct timeframes.

    Args:
        scores: those that are there, in any order.
        weights: timeframe to weight, smallest timeframe first; its order says who are neighbours.
        rule: scale and large timeframes.
    """
    found = {score.timeframe: score for score in scores}
    ordered = [found[name] for name in weights if name in found]
    mean = _mean(ordered, weights)
    tone = _mean([score for score in ordered if score.timeframe in rule.large_timeframes], weights)
    chain = _heaviest_chain(found, weights, sign=1 if mean > 0 else -1) if mean else ()
    if not mean:
        return Resonance(0.0, (), tone)
    share = sum(weights[name] for name in chain) / sum(weights[score.timeframe] for score in ordered)
    strength = abs(mean) / rule.full_agreement * 100 * (0.5 + share) * (0.5 if tone * mean < 0 else 1.0)
    return Resonance(min(strength, 100.0) * (1 if mean > 0 else -1), chain, tone)


def net(score: TimeframeScore) -> float:
    """Buy minus sell score, -100..100."""
    return score.buy_score - score.sell_score


def _heaviest_chain(found: Mapping[str, TimeframeScore], weights: Mapping[str, float], *, sign: int) -> tuple[str, ...]:
    """The run of neighbours with this sign that has most weight; of two equal ones that of larger timeframes."""
    best: list[str] = []
    run: list[str] = []
    for name in weights:
        run = [*run, name] if name in found and net(found[name]) * sign > 0 else []
        if sum(weights[item] for item in run) >= sum(weights[item] for item in best):
            best = run
    return tuple(best)


def _mean(scores: Sequence[TimeframeScore], weights: Mapping[str, float]) -> float:
    weight = sum(weights[score.timeframe] for score in scores)
    return sum(weights[score.timeframe] * net(score) for score in scores) / weight if weight else 0.0
