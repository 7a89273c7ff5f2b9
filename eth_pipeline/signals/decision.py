"""From consensus and forecast to an action and a size.

Belongs here: how the two are weighed, what is distrusted, how large the position is. Does not belong: whether
the hour may act at all (`gate`), the record (`hourly`).

Both views are numbers in -1..1: the base view is the signed consensus strength / 100 (0 below the coverage
floor); the forecast view is the mean vote of the horizons, where a calibrated probability beyond the contract's
threshold votes +1 or -1 and one between the thresholds votes 0, because there no horizon pays its costs.
Their weighted mean acts when its size reaches `min_consensus_strength` / 100, or `KEEP_SHARE` of that where a
position of the same direction is held: one boundary for in and out would pay fees at every flicker.
"""

from dataclasses import dataclass

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.signal import Action, ConsensusSnapshot
from eth_pipeline.settings import Settings, SignalSettings
from eth_pipeline.signals.consensus import signed_strength
from eth_pipeline.signals.forecast import STACKING, Forecast

KEEP_SHARE = 0.5
MAX_OUT_OF_BOUNDS_SHARE = 0.25
"""Above this share of inputs beyond the training range the row is unlike anything the model saw; 0.2 % are
expected in distribution."""


@dataclass(frozen=True)
class Decision:
    """What the strategy wants: the action, its size as a share of equity, and the score (-1..1) behind both."""

    action: Action
    position_share: float
    score: float


def hold(*, score: float) -> Decision:
    """Open nothing, whatever the score says."""
    return Decision(action=Action.HOLD, position_share=0.0, score=score)


def base_view(snapshot: ConsensusSnapshot, *, settings: SignalSettings) -> float:
    """The consensus as a number in -1..1; 0 where too few timeframes were there."""
    return signed_strength(snapshot) / 100 if snapshot.coverage >= settings.min_consensus_coverage else 0.0


def forecast_view(forecast: Forecast, contract: RuntimeContract) -> float:
    """Mean vote of the horizons, -1..1: +1 above the long threshold, -1 below the short one, else 0."""
    acting = contract.stacks if forecast.source == STACKING else contract.primary_models
    votes = []
    for model in acting:
        probability = forecast.probabilities[model.horizon_hours]
        votes.append((probability > model.long_threshold) - (probability < model.short_threshold))
    return sum(votes) / len(votes) if votes else 0.0


def distrust(forecast: Forecast, *, settings: SignalSettings) -> str | None:
    """Why a forecast must not be believed, in a sentence; None where nothing speaks against it."""
    edge = settings.extreme_probability
    extreme = {h: p for h, p in forecast.probabilities.items() if p < edge or p > 1 - edge}
    if extreme:
        listed = ", ".join(f"{p:.3f} for {h} h" for h, p in extreme.items())
        return f"probability {listed} is nearer to 0 or 1 than {edge}: no honest model of this market is that sure"
    if forecast.out_of_bounds_share > MAX_OUT_OF_BOUNDS_SHARE:
        return (
            f"{forecast.out_of_bounds_share:.0%} of the inputs are beyond the range the model was trained on, "
            f"{MAX_OUT_OF_BOUNDS_SHARE:.0%} allowed"
        )
    return None


def combine(base: float, forecast: float | None, *, settings: Settings, held_share: float | None) -> Decision:
    """Weigh both views and decide.

    Args:
        base: `base_view`.
        forecast: `forecast_view`; None where the forecast does not take part (absent or in shadow mode): then
            the base view decides alone.
        settings: `signals.ml_weight`, `signals.min_consensus_strength`, `account.max_single_share`.
        held_share: signed share of equity now held, positive for long; None or 0 for flat.
    """
    weight = settings.signals.ml_weight
    score = base if forecast is None else (1 - weight) * base + weight * forecast
    threshold = settings.signals.min_consensus_strength / 100
    if (held_share or 0.0) * score > 0:
        threshold *= KEEP_SHARE
    if not score or abs(score) < threshold:
        return hold(score=score)
    return Decision(
        action=Action.LONG if score > 0 else Action.SHORT,
        position_share=settings.account.max_single_share * min(abs(score), 1.0),
        score=score,
    )
