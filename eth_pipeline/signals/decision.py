"""From consensus and forecast to an action and a size.

Belongs here: who decides the direction, what a horizon's vote is worth, how large the position is. Does not belong:
whether the hour may act at all (`signals.gating.gate`), which forecasts are believed (`signals.gating.guards`), the
record (`hourly`).

Where a believed forecast takes part it decides the direction alone. A horizon votes +1 or -1 where its calibrated
probability is beyond the contract's threshold and its expected return after costs (`signals.sizing.expected`) is
positive, else 0; a horizon whose thresholds no probability can reach has no vote. The score is the mean vote. The base
strategy only scales the size: from the whole of it where the consensus agrees fully, down to `ml_weight` of it where it
opposes fully. It can neither open, turn nor veto, because on recorded history it was shown to have no skill for
direction.

Where no forecast takes part (`ml_weight` 0, shadow mode, none that is believed) the base strategy decides alone: the
score is the signed consensus strength / 100.

Either score acts when its size reaches `min_consensus_strength` / 100, or `KEEP_SHARE` of that where a position of
the same direction is held: one boundary for in and out would pay fees at every flicker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.signal import Action, ConsensusSnapshot, ExpectedReturn
from eth_pipeline.settings import Settings, SignalSettings
from eth_pipeline.signals.forecasting.forecast import STACKING, Forecast
from eth_pipeline.signals.technical.consensus import signed_strength

KEEP_SHARE = 0.5


@dataclass(frozen=True)
class Decision:
    """What the strategy wants.

    Attributes:
        action: LONG, SHORT or HOLD.
        position_share: by conviction alone, as a share of equity; `position` sizes it.
        score: -1..1, behind both.
        decided_by: whose score it is.
        backing: share of the size that the base strategy lets through.
    """

    action: Action
    position_share: float
    score: float
    decided_by: Literal["base", "forecast"]
    backing: float = 1.0


def hold(decision: Decision) -> Decision:
    """Open nothing, whatever the score says."""
    return Decision(Action.HOLD, 0.0, decision.score, decision.decided_by, decision.backing)


def base_view(snapshot: ConsensusSnapshot, *, settings: SignalSettings) -> float:
    """The consensus as a number in -1..1; 0 where too few timeframes were there."""
    return signed_strength(snapshot) / 100 if snapshot.coverage >= settings.min_consensus_coverage else 0.0


def forecast_view(forecast: Forecast, contract: RuntimeContract, *, expected: Sequence[ExpectedReturn] = ()) -> float:
    """Mean vote of the horizons that can act, -1..1.

    Args:
        forecast: the acting probabilities.
        contract: thresholds.
        expected: horizons listed here vote only where their net return is positive; without quantiles the thresholds
            alone decide, which were chosen on past returns after costs.
    """
    acting = contract.stacks if forecast.source == STACKING else contract.primary_models
    unpaid = {item.horizon_hours for item in expected if item.net_bps <= 0}
    votes = []
    for model in acting:
        if model.long_threshold >= 1 and model.short_threshold <= 0:
            continue
        probability = forecast.probabilities[model.horizon_hours]
        vote = (probability > model.long_threshold) - (probability < model.short_threshold)
        votes.append(0 if model.horizon_hours in unpaid else vote)
    return sum(votes) / len(votes) if votes else 0.0


def combine(base: float, forecast: float | None, *, settings: Settings, held_share: float | None) -> Decision:
    """Decide direction and size.

    Args:
        base: `base_view`.
        forecast: `forecast_view`; None where the forecast does not take part: then the base view decides alone.
        settings: `signals.ml_weight`, `signals.min_consensus_strength`, `account.max_single_share`.
        held_share: signed share of equity now held, positive for long; None or 0 for flat.
    """
    score = base if forecast is None else forecast
    side = 1 if score > 0 else -1
    threshold = settings.signals.min_consensus_strength / 100
    if (held_share or 0.0) * score > 0:
        threshold *= KEEP_SHARE
    scale = 1.0 if forecast is None else backing(side * base, weight=settings.signals.ml_weight)
    wanted = Decision(
        action=Action.LONG if side > 0 else Action.SHORT,
        position_share=settings.account.max_single_share * min(abs(score), 1.0) * scale,
        score=score,
        decided_by="base" if forecast is None else "forecast",
        backing=scale,
    )
    return wanted if score and abs(score) >= threshold else hold(wanted)


def backing(agreement: float, *, weight: float) -> float:
    """Share of the size that the base strategy lets through.

    Args:
        agreement: base view in the forecast's direction, -1 (opposes fully) to 1 (agrees fully).
        weight: of the forecast; at 1 the base strategy has no say.
    """
    return weight + (1 - weight) * (1 + agreement) / 2
