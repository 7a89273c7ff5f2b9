"""How large a position is: fractional Kelly from forecast quantiles, a volatility target, caps.

Belongs here: one pure function of a forecast, and the caps that hold for any order. Does not belong: the direction
(`signals.decision`), limits that forbid opening at all (`trading.risk`), quantities and steps (`trading.fills`).

A share is notional over equity: 0.2 of 10,000 USDT is a position worth 2,000. Every clip that made the share smaller
is named in `limited_by`, in the order of `CLIPS`; a share of 0 says why in a sentence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.sizing.kelly import Outcomes, growth_optimal_share, outcomes_of

Clip = Literal["kelly_fraction", "volatility_target", "single_cap", "total_cap", "reserve"]
CLIPS: tuple[Clip, ...] = ("kelly_fraction", "volatility_target", "single_cap", "total_cap", "reserve")
HOURS_PER_YEAR = 8760
BPS = 1e-4


@dataclass(frozen=True)
class PositionSize:
    """A size and how it came about.

    Attributes:
        share: of equity, unsigned; 0 exactly where `refusal` is a sentence.
        kelly_share: the growth-optimal share before any clip; None where no forecast was asked.
        expected_net_share: expected return of the position on its notional after costs; None without a forecast.
        limited_by: clips that made it smaller, in the order they were applied; the last one decided.
        refusal: why there is no position.
    """

    share: float
    kelly_share: float | None = None
    expected_net_share: float | None = None
    limited_by: tuple[Clip, ...] = ()
    refusal: str | None = None


def size_position(
    *,
    side: int,
    quantiles: Mapping[float, float],
    probability_up: float,
    cost_bps: float,
    volatility_per_hour: float | None,
    settings: AccountSettings,
    other_exposure_share: float = 0.0,
) -> PositionSize:
    """Size of a position in direction `side` from the forecast of one horizon.

    Of the growth-optimal share (`kelly`) `kelly_fraction` is taken, because the forecast is an estimate (Baker and
    McHale 2013, "Optimal betting under parameter uncertainty"); then the volatility target and the caps apply.

    There is no position where costs eat the edge: where the expected net return is not positive, or where the central
    interval of `kelly_interval_share` around the median reaches below the costs. The default asks the median only:
    the 80 % interval of a few hours of ETH is wider than any cost, so asking it would never trade.

    Args:
        side: +1 long, -1 short.
        quantiles: level (0..1) to log return over the horizon; at least two levels.
        probability_up: calibrated probability that the return is positive.
        cost_bps: round trip of fees and slippage plus the funding expected over the horizon, of the notional.
        volatility_per_hour: recent standard deviation of hourly log returns; None where unknown.
        settings: fraction, target and caps.
        other_exposure_share: unsigned shares of equity held elsewhere, which use up the total cap and the reserve.

    Raises:
        ValueError: `side` is neither.
    """
    if problem := _unusable(side, quantiles, probability_up, cost_bps, volatility_per_hour, other_exposure_share):
        return PositionSize(0.0, refusal=problem)
    assert volatility_per_hour is not None, "checked just above"
    outcomes = outcomes_of(side=side, quantiles=quantiles, probability_up=probability_up, cost_share=cost_bps * BPS)
    if outcomes is None:
        sentence = f"the quantiles all have one sign, but the probability of up is {probability_up:.3f}"
        return PositionSize(0.0, refusal=sentence)
    expected = float(outcomes.weight @ outcomes.net)
    if problem := _costs_eat_it(outcomes, expected, cost_bps, settings.kelly_interval_share):
        return PositionSize(0.0, kelly_share=0.0, expected_net_share=expected, refusal=problem)
    kelly = growth_optimal_share(outcomes)
    wanted: list[tuple[Clip, float]] = [("kelly_fraction", settings.kelly_fraction * kelly)]
    wanted += _clips(volatility_per_hour, settings=settings, other_exposure_share=other_exposure_share)
    share, limited_by = _clip(kelly, wanted)
    return PositionSize(share, kelly, expected, limited_by, None if share else _NO_ROOM)


def size_without_forecast(
    *,
    conviction: float,
    volatility_per_hour: float | None,
    settings: AccountSettings,
    other_exposure_share: float = 0.0,
) -> PositionSize:
    """Size where no forecast takes part: `conviction` (0..1) of the single cap, under the same target and caps."""
    if not 0 < conviction <= 1:
        return PositionSize(0.0, refusal=f"conviction {conviction:.3f} is not above 0 and at most 1")
    if problem := _no_volatility(volatility_per_hour) or _no_exposure(other_exposure_share):
        return PositionSize(0.0, refusal=problem)
    assert volatility_per_hour is not None, "checked just above"
    clips = _clips(volatility_per_hour, settings=settings, other_exposure_share=other_exposure_share)
    share, limited_by = _clip(conviction * settings.max_single_share, clips)
    return PositionSize(share, limited_by=limited_by, refusal=None if share else _NO_ROOM)


def largest_share(*, settings: AccountSettings, other_exposure_share: float = 0.0) -> float:
    """The share that no order may exceed, whoever asked for it."""
    return min(limit for _, limit in _caps(settings=settings, other_exposure_share=other_exposure_share))


_NO_ROOM = "the positions held elsewhere leave no room under the total cap or the reserve"


def _caps(*, settings: AccountSettings, other_exposure_share: float) -> list[tuple[Clip, float]]:
    """Margin is notional / leverage; what the reserve leaves of equity is the most that may be margin."""
    return [
        ("single_cap", settings.max_single_share),
        ("total_cap", max(settings.max_total_share - other_exposure_share, 0.0)),
        ("reserve", max(settings.leverage * (1 - settings.reserve_share) - other_exposure_share, 0.0)),
    ]


def _clips(
    volatility_per_hour: float, *, settings: AccountSettings, other_exposure_share: float
) -> list[tuple[Clip, float]]:
    target = settings.volatility_target_share_per_year / (volatility_per_hour * math.sqrt(HOURS_PER_YEAR))
    return [("volatility_target", target), *_caps(settings=settings, other_exposure_share=other_exposure_share)]


def _clip(share: float, limits: list[tuple[Clip, float]]) -> tuple[float, tuple[Clip, ...]]:
    named = []
    for name, limit in limits:
        if limit < share:
            share = limit
            named.append(name)
    return share, tuple(named)


def _costs_eat_it(outcomes: Outcomes, expected: float, cost_bps: float, interval: float) -> str | None:
    if expected <= 0:
        return f"the expected return after {cost_bps:.1f} bps of costs is {expected / BPS:.1f} bps"
    lower = outcomes.quantile((1 - interval) / 2)
    if lower > 0:
        return None
    asked = f"the central {interval:.0%} interval" if interval else "the median outcome"
    return f"{asked} reaches {-lower / BPS:.1f} bps below what {cost_bps:.1f} bps of costs take"


def _unusable(
    side: int,
    quantiles: Mapping[float, float],
    probability_up: float,
    cost_bps: float,
    volatility_per_hour: float | None,
    other_exposure_share: float,
) -> str | None:
    if side not in (-1, 1):
        raise ValueError(f"side is {side}; pass +1 for long or -1 for short.")
    if len(quantiles) < 2 or not all(0 < level < 1 for level in quantiles):
        return f"the forecast has {len(quantiles)} quantiles between 0 and 1; two are needed"
    if not all(map(math.isfinite, quantiles.values())):
        return "a quantile of the forecast is no number"
    if not 0 <= probability_up <= 1:
        return f"the probability of up is {probability_up}, which is none"
    if not math.isfinite(cost_bps):
        return "the costs are unknown"
    return _no_volatility(volatility_per_hour) or _no_exposure(other_exposure_share)


def _no_volatility(volatility_per_hour: float | None) -> str | None:
    if volatility_per_hour is None or not math.isfinite(volatility_per_hour) or volatility_per_hour <= 0:
        return f"the recent volatility is unknown ({volatility_per_hour}), so the volatility target has no size"
    return None


def _no_exposure(other_exposure_share: float) -> str | None:
    if not other_exposure_share >= 0:
        return f"the exposure held elsewhere is {other_exposure_share}, which is no share"
    return None
