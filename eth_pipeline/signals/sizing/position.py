"""How large the decided position is: the forecast's quantiles where they decided, conviction where they did not.

Belongs here: choosing the horizon that sizes, and what a refusal does to the action. Does not belong: the size itself
(`size`), the direction (`signals.decision`).
"""

from collections.abc import Sequence

from eth_pipeline.contracts.signal import Action, ExpectedReturn
from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.decision import Decision
from eth_pipeline.signals.forecasting.forecast import Forecast
from eth_pipeline.signals.sizing.size import PositionSize, size_position, size_without_forecast


def size_of(
    decision: Decision,
    *,
    forecast: Forecast | None,
    expected: Sequence[ExpectedReturn],
    volatility_per_hour: float | None,
    account: AccountSettings,
) -> PositionSize:
    """Size of `decision`; a refusal makes it HOLD.

    Where a forecast decided and has quantiles, the horizon that promises most after costs sizes the position, and the
    base strategy's backing scales it. Otherwise conviction does, under the same volatility target and caps. Where the
    volatility of the hour is unknown the share by conviction stands and `limited_by` says so: the gate has a reason
    of its own for a missing feature.

    Args:
        decision: LONG or SHORT; of HOLD the size is 0.
        forecast: the believed forecast; None where none took part.
        expected: of the horizons of `forecast` that have quantiles.
        volatility_per_hour: standard deviation of one-hour log returns over the last day.
        account: fraction, target and caps.
    """
    if decision.action is Action.HOLD:
        return PositionSize(0.0)
    if volatility_per_hour is None:
        return PositionSize(decision.position_share, limited_by=(), refusal=None)
    side = 1 if decision.action is Action.LONG else -1
    promising = [item for item in expected if item.side is decision.action and item.net_bps > 0]
    if decision.decided_by == "forecast" and forecast is not None and promising:
        best = max(promising, key=lambda item: item.net_bps)
        size = size_position(
            side=side,
            quantiles=forecast.quantiles[best.horizon_hours],
            probability_up=forecast.probabilities[best.horizon_hours],
            cost_bps=best.cost_bps + (best.funding_bps or 0.0),
            volatility_per_hour=volatility_per_hour,
            settings=account,
        )
        return PositionSize(
            size.share * decision.backing, size.kelly_share, size.expected_net_share, size.limited_by, size.refusal
        )
    conviction = min(decision.position_share / account.max_single_share, 1.0)
    return size_without_forecast(conviction=conviction, volatility_per_hour=volatility_per_hour, settings=account)
