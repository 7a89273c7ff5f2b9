"""What a horizon's forecast promises after costs: calibrated probability and quantiles against the cost model.

Belongs here: the expected net return of one horizon. Does not belong: thresholds (the contract has them), the vote it
may cancel (`signals.decision`), how large a position it deserves (`size`).

The probability says how often, the quantiles say how far: the quantile function is interpolated linearly in normal
scores (and extended so beyond the outermost levels), its returns split at zero, and the means of both halves weighted
with the calibrated probability of up. From that come off the fees and slippage of the round trip and the funding that
is expected at the settlements ahead.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from eth_pipeline.contracts.signal import Action, ExpectedReturn
from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.forecasting.forecast import Forecast
from eth_pipeline.signals.sizing.funding import FundingOutlook
from eth_pipeline.signals.sizing.quantile_grid import grid

BPS = 1e4


def expected_returns(
    forecast: Forecast,
    *,
    decision_time: datetime,
    funding: FundingOutlook | None,
    account: AccountSettings,
    held_share: float | None,
) -> tuple[ExpectedReturn, ...]:
    """Expected return of every acting horizon that has quantiles, for the side its probability leans to.

    Args:
        forecast: of one hour.
        decision_time: that hour; a position would be opened at it and held for the horizon.
        funding: what was known of it; None where nothing was, then no funding is counted and the record says null.
        account: fees and slippage per fill.
        held_share: signed share held now. The side that is held has paid its entry, and its exit is due whatever is
            decided, so nothing more has to be earned to keep it.
    """
    round_trip_bps = 2 * (account.taker_fee_bps + account.slippage_bps)
    found = []
    for horizon, probability in sorted(forecast.probabilities.items()):
        quantiles = forecast.quantiles.get(horizon)
        if not quantiles:
            continue
        side = 1 if probability >= 0.5 else -1
        gross = side * expected_gross_bps(quantiles, probability_up=probability)
        cost = 0.0 if (held_share or 0.0) * side > 0 else round_trip_bps
        paid = None
        if funding is not None:
            paid = side * funding.rate * BPS * funding.settlements_within(decision_time, hours=horizon)
        found.append(
            ExpectedReturn(
                horizon_hours=horizon,
                side=Action.LONG if side > 0 else Action.SHORT,
                gross_bps=gross,
                cost_bps=cost,
                funding_bps=paid,
                net_bps=gross - cost - (paid or 0.0),
            )
        )
    return tuple(found)


def expected_gross_bps(quantiles: Mapping[float, float], *, probability_up: float) -> float:
    """Expected simple return of holding one coin's worth long, in bps, before any cost.

    Args:
        quantiles: level to log return, at least two levels, ascending in both.
        probability_up: calibrated. A half that the quantiles do not know counts as no move at all.
    """
    levels = tuple(sorted(quantiles))
    values = np.array([quantiles[level] for level in levels])
    segment, place = grid(levels)
    returns = np.expm1(values[segment] + place * (values[segment + 1] - values[segment]))
    up = returns > 0
    rise = float(returns[up].mean()) if up.any() else 0.0
    fall = float(returns[~up].mean()) if not up.all() else 0.0
    return BPS * (probability_up * rise + (1 - probability_up) * fall)


def implied_probability_up(quantiles: Mapping[float, float]) -> float:
    """Share of the interpolated quantile function above zero."""
    levels = tuple(sorted(quantiles))
    values = np.array([quantiles[level] for level in levels])
    segment, place = grid(levels)
    return float((values[segment] + place * (values[segment + 1] - values[segment]) > 0).mean())
