"""What makes a forecast unbelievable, and what is merely unusual about it.

Belongs here: `no_number` and `distrust`, whose sentence takes the forecast out of the decision, and `notes`, which
are recorded and change nothing. Does not belong: what distrust does to the hour (`hourly`, `policy`).

Every guard is a plausibility limit far outside honest forecasts, not a tuned filter: a guard that fires in normal
weeks would be a strategy that nobody validated.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.expected import implied_probability_up
from eth_pipeline.signals.forecast import Forecast

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
                return f"the {name} at {key} is {value}, which is no number; such an answer is no forecast"
    return None


def notes(forecast: Forecast) -> tuple[str, ...]:
    """What a reader should know about a forecast that is believed."""
    found: list[str] = []
    if forecast.regime:
        state, share = list(forecast.regime.items())[-1]
        if share > STRESSED_NOTE_SHARE:
            found.append(f"regime {state} with probability {share:.2f}")
    for hours, quantiles in forecast.quantiles.items():
        probability = forecast.probabilities.get(hours)
        if probability is None or _quantiles(hours, quantiles):
            continue
        implied = implied_probability_up(quantiles)
        if abs(implied - probability) > CONTRADICTION_NOTE:
            found.append(f"{hours} h: probability of up {probability:.2f}, by the quantiles {implied:.2f}")
    return tuple(found)


def _extreme(probabilities: Mapping[int, float], *, edge: float) -> str | None:
    extreme = {hours: p for hours, p in probabilities.items() if p < edge or p > 1 - edge}
    if not extreme:
        return None
    listed = ", ".join(f"{p:.3f} for {hours} h" for hours, p in extreme.items())
    return f"probability {listed} is nearer to 0 or 1 than {edge}: no honest model of this market is that sure"


def _out_of_bounds(share: float) -> str | None:
    if share <= MAX_OUT_OF_BOUNDS_SHARE:
        return None
    allowed = f"{MAX_OUT_OF_BOUNDS_SHARE:.0%} allowed"
    return f"{share:.0%} of the inputs are beyond the range the model was trained on, {allowed}"


def _quantiles(hours: int, quantiles: Mapping[float, float]) -> str | None:
    values = [quantiles[level] for level in sorted(quantiles)]
    if len(values) < 2 or not all(0 < level < 1 for level in quantiles):
        return f"the {hours} h quantiles have the levels {sorted(quantiles)}; two or more between 0 and 1 are needed"
    if any(lower > upper for lower, upper in pairwise(values)):
        return f"the {hours} h quantiles cross: {[round(value, 5) for value in values]} should ascend"
    spread, root = values[-1] - values[0], math.sqrt(hours)
    if not NARROWEST_SPREAD_PER_ROOT_HOUR * root <= spread <= WIDEST_SPREAD_PER_ROOT_HOUR * root:
        return (
            f"the {hours} h quantiles are {spread:.2%} apart; between {NARROWEST_SPREAD_PER_ROOT_HOUR * root:.2%} and "
            f"{WIDEST_SPREAD_PER_ROOT_HOUR * root:.2%} is believable"
        )
    return None
