"""What makes a forecast unbelievable, and what is merely unusual about it.

Belongs here: `no_number` and `distrust`, whose sentence takes the forecast out of the decision, and `notes`, which
are recorded and change nothing. Does not belong: what distrust does to the hour (`signals.hourly`, `policy`).

Every guard is a plausibility limit far outside honest forecasts, not a tuned filter: a guard that fires in normal
weeks would be a strategy that nobody validated.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from eth_pipeline.contracts.wording import forecasts
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.forecasting.forecast import Forecast
from eth_pipeline.signals.sizing.expected import implied_probability_up

MAX_OUT_OF_BOUNDS_SHARE = 0.25
"""Above this share of inputs beyond the training range the row is unlike anything the model saw; 0.2 % are
expected in distribution."""
WIDEST_SPREAD_PER_ROOT_HOUR = 0.20
NARROWEST_SPREAD_PER_ROOT_HOUR = 0.0005
"""Outermost quantiles apart by more than the first, or less than the second, times the root of the horizon in hours
are no forecast of this market. Both are plausibility limits, set far outside what it does in days; not tuned."""
STRESSED_NOTE_SHARE = 0.5
CONTRADICTION_NOTE = 0.15


def distrust(forecast: Forecast, *, settings: SignalSettings) -> str | None:
    """Why a forecast must not be believed, in a sentence; None where nothing speaks against it."""
    return (
        _extreme(forecast.probabilities, edge=settings.extreme_probability)
        or _out_of_bounds(forecast.out_of_bounds_share)
        or next(filter(None, (_quantiles(hours, found) for hours, found in forecast.quantiles.items())), None)
    )


def no_number(forecast: Forecast) -> str | None:
    """Why an answer is no forecast at all: it has something in it that is no number and could not be recorded."""
    groups: dict[str, Mapping[Any, float]] = {
        "probability": forecast.probabilities,
        "raw probability": forecast.raw,
        "regime": forecast.regime,
        **{f"{name} probability": answers for name, answers in forecast.members.items()},
        **{f"{hours} h quantile": values for hours, values in forecast.quantiles.items()},
    }
    for name, answers in groups.items():
        for key, value in answers.items():
            if not math.isfinite(value):
                return forecasts.NO_NUMBER(name=name, key=key, value=value)
    return None


def notes(forecast: Forecast) -> tuple[str, ...]:
    """What a reader should know about a forecast that is believed."""
    found: list[str] = []
    if forecast.regime:
        state, share = list(forecast.regime.items())[-1]
        if share > STRESSED_NOTE_SHARE:
            found.append(forecasts.REGIME_NOTE(state=state, share=share))
    for hours, quantiles in forecast.quantiles.items():
        probability = forecast.probabilities.get(hours)
        if probability is None or _quantiles(hours, quantiles):
            continue
        implied = implied_probability_up(quantiles)
        if abs(implied - probability) > CONTRADICTION_NOTE:
            found.append(forecasts.CONTRADICTION_NOTE(hours=hours, probability=probability, implied=implied))
    return tuple(found)


def _extreme(probabilities: Mapping[int, float], *, edge: float) -> str | None:
    extreme = {hours: p for hours, p in probabilities.items() if p < edge or p > 1 - edge}
    if not extreme:
        return None
    listed = ", ".join(f"{p:.3f} for {hours} h" for hours, p in extreme.items())
    return forecasts.TOO_SURE(listed=listed, edge=edge)


def _out_of_bounds(share: float) -> str | None:
    if share <= MAX_OUT_OF_BOUNDS_SHARE:
        return None
    return forecasts.OUT_OF_RANGE(share=share, allowed=MAX_OUT_OF_BOUNDS_SHARE)


def _quantiles(hours: int, quantiles: Mapping[float, float]) -> str | None:
    values = [quantiles[level] for level in sorted(quantiles)]
    if len(values) < 2 or not all(0 < level < 1 for level in quantiles):
        return forecasts.QUANTILE_LEVELS(hours=hours, levels=sorted(quantiles))
    if any(lower > upper for lower, upper in pairwise(values)):
        return forecasts.QUANTILES_CROSS(hours=hours, values=[round(value, 5) for value in values])
    spread, root = values[-1] - values[0], math.sqrt(hours)
    narrowest, widest = NARROWEST_SPREAD_PER_ROOT_HOUR * root, WIDEST_SPREAD_PER_ROOT_HOUR * root
    if not narrowest <= spread <= widest:
        return forecasts.QUANTILES_APART(hours=hours, spread=spread, narrowest=narrowest, widest=widest)
    return None
