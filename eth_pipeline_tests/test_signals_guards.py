"""Guards: what no honest forecast says is not believed, what is merely unusual is noted."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.forecasting.forecast import Forecast
from eth_pipeline.signals.gating.guards import (
    MAX_OUT_OF_BOUNDS_SHARE,
    NARROWEST_SPREAD_PER_ROOT_HOUR,
    WIDEST_SPREAD_PER_ROOT_HOUR,
    distrust,
    no_number,
    notes,
)
from eth_pipeline_tests.decision_samples import forecast

SETTINGS = SignalSettings()
GOOD = {0.05: -0.02, 0.5: 0.001, 0.95: 0.022}


def _with(quantiles: dict[float, float], hours: int = 5, **changes: Any) -> Forecast:
    return replace(forecast(0.55, 0.55, 0.55), quantiles={hours: quantiles}, **changes)


def test_an_ordinary_forecast_is_believed_without_a_note() -> None:
    answer = _with(GOOD, regime={"calm": 0.3, "normal": 0.4, "stressed": 0.3})
    assert (no_number(answer), distrust(answer, settings=SETTINGS), notes(answer)) == (None, None, ())


@pytest.mark.parametrize(
    ("quantiles", "word"),
    [
        ({0.05: -0.02, 0.5: 0.03, 0.95: 0.022}, "cross"),
        ({0.05: 0.01, 0.95: -0.01}, "cross"),
        ({0.05: -0.3, 0.95: 0.3}, "apart"),
        ({0.05: 0.001, 0.95: 0.001}, "apart"),
        ({0.5: 0.001}, "levels"),
        ({0.0: -0.02, 0.95: 0.02}, "levels"),
    ],
)
def test_quantiles_that_no_market_has_are_not_believed(quantiles: dict[float, float], word: str) -> None:
    said = distrust(_with(quantiles), settings=SETTINGS)
    assert said is not None
    assert said.startswith("the 5 h quantiles")
    assert word in said


@pytest.mark.parametrize("hours", [5, 24])
def test_the_believable_width_grows_with_the_root_of_the_horizon(hours: int) -> None:
    widest, narrowest = (x * math.sqrt(hours) for x in (WIDEST_SPREAD_PER_ROOT_HOUR, NARROWEST_SPREAD_PER_ROOT_HOUR))
    for spread, believed in (
        (0.999 * widest, True),
        (1.001 * widest, False),
        (1.001 * narrowest, True),
        (0.999 * narrowest, False),
    ):
        said = distrust(_with({0.05: -spread / 2, 0.95: spread / 2}, hours), settings=SETTINGS)
        assert (said is None) is believed, spread


@pytest.mark.parametrize("share", [0.0, MAX_OUT_OF_BOUNDS_SHARE])
def test_inputs_at_the_edge_of_training_are_still_believed(share: float) -> None:
    assert distrust(forecast(0.5, 0.5, 0.5, out_of_bounds_share=share), settings=SETTINGS) is None


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.sampled_from([5, 12, 24]), st.floats(0.001, 0.2))
def test_a_probability_is_believed_exactly_within_its_edges(probability: float, hours: int, edge: float) -> None:
    p5, p12, p24 = (probability if hours == h else 0.5 for h in (5, 12, 24))
    said = distrust(forecast(p5, p12, p24), settings=SignalSettings(extreme_probability=edge))
    assert (said is None) == (edge <= probability <= 1 - edge)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["probabilities", "raw", "members", "quantiles", "regime"])
def test_something_that_is_no_number_is_found_wherever_it_hides(value: float, where: str) -> None:
    broken: dict[str, Any] = {
        "probabilities": {5: value},
        "raw": {5: value},
        "members": {"lstm": {5: value}},
        "quantiles": {5: {0.05: value, 0.95: 0.01}},
        "regime": {"calm": value},
    }
    said = no_number(replace(_with(GOOD), **{where: broken[where]}))
    assert said is not None
    assert str(value) in said


def test_a_stressed_market_and_a_contradiction_are_noted() -> None:
    stressed = _with(GOOD, regime={"calm": 0.1, "normal": 0.3, "stressed": 0.6})
    assert notes(stressed) == ("regime stressed with probability 0.60",)
    contradiction = _with({0.05: -0.04, 0.5: -0.01, 0.95: 0.02})
    (said,) = notes(contradiction)
    assert said.startswith("5 h: probability of up 0.55, by the quantiles 0.2")
    assert distrust(contradiction, settings=SETTINGS) is None
