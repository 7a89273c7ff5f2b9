"""Tests of eth_pipeline.models.networks.inputs and input_layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.networks.input_layer import PHASES, InputLayer, rotation
from eth_pipeline.models.networks.inputs import InputScaling, fit_inputs
from eth_pipeline_tests.planted_sequence import HOUR, poisoned

ROWS = 4_000
TAUGHT = np.arange(2_000)
CLIP = 5.0


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """`steady` is related to the outcome throughout, `turning` more strongly but with a sign that changes midway."""
    random = np.random.default_rng(5)
    forward = random.standard_normal(ROWS)
    steady = 0.3 * forward + random.standard_normal(ROWS)
    side = np.where(np.arange(ROWS) % 1_000 < 500, 1.0, -1.0)
    turning = 0.8 * side * forward + random.standard_normal(ROWS)
    copy = steady + 0.01 * random.standard_normal(ROWS)
    rare = np.where(random.random(ROWS) < 0.3, forward, np.nan)
    dollars = 3_000 + 500 * random.standard_normal(ROWS)
    noise = random.standard_normal((3, ROWS))
    features = np.stack([turning, copy, steady, rare, dollars, *noise], axis=1).astype(np.float32)
    times = np.datetime64("2022-01-01", "us") + np.arange(ROWS) * HOUR
    target = HorizonTarget((forward > 0).astype(np.float32), forward, forward, times + 5 * HOUR)
    names = ("turning", "copy", "steady", "rare", "dollars", "n0", "n1", "n2")
    return TrainingSet("ETHUSDT", "simulated", times, features, names, {5: target})


def chosen_names(data: TrainingSet, count: int) -> list[str]:
    return [data.feature_names[column] for column in fit_inputs(data, {5: TAUGHT}, count=count).columns]


def test_a_steady_relation_is_chosen_before_one_that_changes_its_sign(data: TrainingSet) -> None:
    """The turning one is the stronger in every single quarter of the rows it is turned over in."""
    assert chosen_names(data, 1)[0] in {"steady", "copy"}


def test_a_near_copy_steps_back_until_nothing_else_is_left(data: TrainingSet) -> None:
    assert not {"steady", "copy"} <= set(chosen_names(data, 6))
    assert {"steady", "copy"} <= set(chosen_names(data, 8))


def test_a_feature_that_is_mostly_missing_comes_last(data: TrainingSet) -> None:
    assert "rare" not in chosen_names(data, 6)


def test_choice_and_scale_come_from_the_given_rows_alone(data: TrainingSet) -> None:
    """Scalers fitted on the scoring batch were found in published example projects."""
    changed = poisoned(data, but=TAUGHT)
    changed = replace(changed, features=data.features.copy())
    changed.features[2_000:] = changed.features[2_000:] * 50 + 9
    assert fit_inputs(changed, {5: TAUGHT}, count=5) == fit_inputs(data, {5: TAUGHT}, count=5)
    assert fit_inputs(changed, {5: TAUGHT + 1_000}, count=5) != fit_inputs(data, {5: TAUGHT + 1_000}, count=5)


def test_scaling_is_by_median_and_interquartile_range(data: TrainingSet) -> None:
    scaling = fit_inputs(data, {5: TAUGHT}, count=8)
    place = scaling.columns.index(data.feature_names.index("dollars"))
    column = data.features[TAUGHT, data.feature_names.index("dollars")].astype(np.float64)
    low, high = np.quantile(column, [0.25, 0.75])
    assert scaling.centre[place] == pytest.approx(np.median(column))
    assert scaling.scale[place] == pytest.approx((high - low) / 1.349)


def test_a_constant_and_an_absent_feature_do_not_divide_by_zero(data: TrainingSet) -> None:
    changed = replace(data, features=data.features.copy())
    changed.features[:, 5] = 4.0
    changed.features[:, 6] = np.nan
    scaling = fit_inputs(changed, {5: TAUGHT}, count=8)
    assert len(scaling.columns) == 8
    assert all(scale > 0 for scale in scaling.scale)


def test_missing_and_infinite_become_the_median_and_extremes_are_clipped() -> None:
    layer = InputLayer(InputScaling((1, 0), (10.0, 0.0), (2.0, 1.0)), ("a", "b"), clip=CLIP, phases=False)
    given = [[1.0, 12.0], [np.nan, 10.0], [np.inf, -np.inf], [1e30, -3.4e38], [-6.0, 1e-40]]
    prepared = layer(torch.tensor(given, dtype=torch.float32))
    assert prepared.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [-5.0, 5.0], [-5.0, -5.0]]


def test_known_cycles_turn_into_those_of_later_hours() -> None:
    """What the decoder is told of the hours ahead equals what those hours say of themselves, over midnight too."""
    hours = np.arange(24 * 9)
    hour, weekday = hours % 24, (hours // 24) % 7
    columns = [
        hour,
        np.sin(2 * np.pi * hour / 24),
        np.cos(2 * np.pi * hour / 24),
        np.sin(2 * np.pi * weekday / 7),
        np.cos(2 * np.pi * weekday / 7),
        8 - hour % 8,
    ]
    names = ("hour", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "hours_to_funding")
    layer = InputLayer(InputScaling((), (), ()), names, clip=CLIP, phases=True)
    assert layer.phases == PHASES
    phases = layer(torch.from_numpy(np.stack(columns, axis=1).astype(np.float32)))
    turn = rotation(layer.phases, hours_ahead=24)
    for ahead in (1, 5, 24):
        torch.testing.assert_close(phases[:-ahead] @ turn[ahead - 1], phases[ahead:], atol=2e-5, rtol=0.0)


def test_a_cycle_without_its_features_is_left_out_and_a_missing_hour_has_none() -> None:
    names = ("hour_sin", "hour_cos")
    layer = InputLayer(InputScaling((), (), ()), names, clip=CLIP, phases=True)
    assert [phase.name for phase in layer.phases] == ["day"]
    assert layer(torch.tensor([[np.nan, 1.0]])).tolist() == [[0.0, 0.0]]
