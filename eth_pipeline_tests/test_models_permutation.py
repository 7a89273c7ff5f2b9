"""Tests of eth_pipeline.models.figures.permutation."""

from dataclasses import replace

import numpy as np
import pytest

from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.permutation import WEEK_HOURS, lenders, permutation_importance
from eth_pipeline.models.figures.report import PermutationReport
from eth_pipeline.models.out_of_fold import KeptWindow
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.walk_forward import walk_forward
from eth_pipeline_tests.planted_history import QUICK, SMALL, VOLATILITY, planted_history

FAMILIES = {"skill": "planted", **{f"noise_{number}": "noise" for number in range(5)}}


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(6_000, strength=0.3, seed=1, horizons_hours=(5,))


@pytest.fixture(scope="module")
def kept(data: TrainingSet) -> tuple[KeptWindow, ...]:
    return walk_forward(data, Boosting(QUICK), settings=SMALL, volatility_feature=VOLATILITY, keep=2).kept


def permuted(data: TrainingSet, kept: tuple[KeptWindow, ...], **changed: int) -> PermutationReport:
    found = permutation_importance(
        data, kept, horizon_hours=5, families=FAMILIES, settings=SMALL, top_features=changed.get("top_features", 3)
    )
    assert found is not None
    return found


def test_what_carries_the_forecast_is_missed_and_noise_is_not(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    found = permuted(data, kept)
    assert (found.windows, found.rows) == (2, 2_400)
    drops = {each.name: each for each in found.drops}
    assert [each.name for each in found.drops if each.kind == "family"] == ["planted", "noise"]
    assert (drops["planted"].features, drops["noise"].features) == (1, 5)
    assert drops["planted"].drop.low is not None
    assert drops["planted"].drop.low > 0.03
    assert drops["noise"].drop.value == pytest.approx(0.0, abs=0.02)
    assert drops["skill"].drop == drops["planted"].drop, "a family of one is its feature"


def test_without_its_only_skill_the_model_is_a_coin(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    found = permuted(data, kept)
    assert found.auc.value is not None
    lost = next(each.drop for each in found.drops if each.name == "planted")
    assert lost.value is not None
    assert found.auc.value - lost.value == pytest.approx(0.5, abs=0.04)


def test_the_history_is_left_as_it_was_and_the_seed_decides(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    digest = data.digest()
    assert permuted(data, kept) == permuted(data, kept)
    assert data.digest() == digest
    other = permutation_importance(
        data, kept, horizon_hours=5, families=FAMILIES, settings=SMALL.model_copy(update={"seed": 99})
    )
    assert other is not None
    assert other.drops != permuted(data, kept).drops


def test_only_so_many_single_features_are_tried(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    assert [each.kind for each in permuted(data, kept, top_features=1).drops].count("feature") == 1


def test_features_of_later_hours_are_never_read(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    """Donors come from the window and before it."""
    newest = int(kept[0].test[5][-1])
    changed = replace(data, features=data.features.copy())
    changed.features[newest + 1 :] = 1e3
    assert permuted(changed, kept[:1]) == permuted(data, kept[:1])


def test_a_window_of_a_day_borrows_from_the_weeks_before_it(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    """Daily refits leave 24 rows per window; shuffling inside them would exchange neighbours."""
    days = tuple(replace(kept[1], test={5: kept[1].test[5][day * 24 : day * 24 + 24]}) for day in range(40))
    found = permuted(data, days)
    assert (found.windows, found.rows) == (40, 960)
    lost = next(each.drop for each in found.drops if each.name == "planted")
    assert lost.value is not None
    assert lost.value > 0.03


def test_nothing_kept_or_too_short_a_history_is_none(data: TrainingSet, kept: tuple[KeptWindow, ...]) -> None:
    assert permutation_importance(data, (), horizon_hours=5, families={}, settings=SMALL) is None
    short = replace(kept[0], test={5: np.arange(0, 300)})
    assert permutation_importance(data, (short,), horizon_hours=5, families={}, settings=SMALL) is None


@pytest.mark.parametrize("rows", [2 * WEEK_HOURS, 13 * WEEK_HOURS, 13 * WEEK_HOURS + 50])
def test_whole_weeks_change_places_and_the_hour_of_the_week_stays(rows: int) -> None:
    lent_by = lenders(rows, seed=4)
    own = np.arange(rows)
    assert len(lent_by) == rows
    assert (lent_by != own).all()
    assert ((lent_by - own) % WEEK_HOURS == 0).all()
    whole = lent_by[rows % WEEK_HOURS :]
    np.testing.assert_array_equal(np.sort(whole), own[rows % WEEK_HOURS :])
    steps = np.diff(whole.reshape(-1, WEEK_HOURS), axis=1)
    assert (steps == 1).all()
