"""Tests of eth_pipeline.models.trees.boosting."""

from dataclasses import fields, replace

import numpy as np
import pytest

from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.trees.boosting import Boosting, BoostingParameters
from eth_pipeline_tests.planted_history import QUICK, planted_history

FOLD = Fold(0, np.datetime64("2022-05-01"), np.arange(0, 2_000), np.arange(2_040, 2_500), np.arange(2_540, 3_000))
EVERY = {5: np.arange(2_500)}


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(3_000, strength=0.25, seed=3, horizons_hours=(5,))


def test_a_planted_signal_is_learnt(data: TrainingSet) -> None:
    fitted = Boosting(QUICK).fit(data, {5: FOLD}, seed=1)
    probability = fitted.probability(data, {5: FOLD.test})[5]
    assert auc(probability, data.targets[5].up[FOLD.test]) > 0.6
    assert max(fitted.importance(), key=lambda name: fitted.importance()[name]) == "skill"
    assert sum(fitted.importance().values()) == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_model_whatever_the_threads(data: TrainingSet) -> None:
    one, two = (
        Boosting(replace(QUICK, threads=threads)).refit(data, EVERY, effort={5: 20}, seed=5).to_onnx()[5].onnx
        for threads in (1, 2)
    )
    other = Boosting(QUICK).refit(data, EVERY, effort={5: 20}, seed=6).to_onnx()[5].onnx
    assert one == two
    assert one != other


def test_threads_are_no_part_of_what_counts_as_a_try() -> None:
    assert Boosting(replace(QUICK, threads=7)).digest() == Boosting(QUICK).digest()


def test_a_matrix_changed_in_place_is_binned_again(data: TrainingSet) -> None:
    """A fit and its refit share their bins; sharing them by identity would serve stale ones."""
    changing = replace(data, features=data.features.copy())
    before = Boosting(QUICK).refit(changing, EVERY, effort={5: 10}, seed=1)
    changing.features[:, 0] = -changing.features[:, 0]
    after = Boosting(QUICK).refit(changing, EVERY, effort={5: 10}, seed=1)
    fresh = Boosting(QUICK).refit(replace(data, features=changing.features.copy()), EVERY, effort={5: 10}, seed=1)
    assert before.to_onnx()[5].onnx != after.to_onnx()[5].onnx
    assert after.to_onnx()[5].onnx == fresh.to_onnx()[5].onnx


def test_a_refit_does_not_depend_on_what_was_binned_before(data: TrainingSet) -> None:
    """The window's bins must not leak into the next one of the same thread."""
    alone = Boosting(QUICK).refit(data, {5: np.arange(500, 2_500)}, effort={5: 10}, seed=1)
    Boosting(QUICK).fit(data, {5: FOLD}, seed=1)
    again = Boosting(QUICK).refit(data, {5: np.arange(500, 2_500)}, effort={5: 10}, seed=1)
    assert alone.to_onnx()[5].onnx == again.to_onnx()[5].onnx


def test_rows_outside_the_fold_teach_nothing(data: TrainingSet) -> None:
    """Changed targets and features of the test rows must leave the model as it is."""
    changed = replace(data, features=data.features.copy())
    changed.features[FOLD.test] = 99.0
    up = data.targets[5].up.copy()
    up[FOLD.test] = 1 - up[FOLD.test]
    changed = replace(changed, targets={5: replace(data.targets[5], up=up)})
    before, after = (Boosting(QUICK).fit(each, {5: FOLD}, seed=1) for each in (data, changed))
    assert before.to_onnx()[5].onnx == after.to_onnx()[5].onnx


def test_early_stopping_reads_validation_and_stays_within_its_bounds(data: TrainingSet) -> None:
    fitted = Boosting(QUICK).fit(data, {5: FOLD}, seed=1)
    assert QUICK.min_rounds <= fitted.effort[5] <= QUICK.max_rounds
    up = data.targets[5].up.copy()
    up[FOLD.validation] = 1 - up[FOLD.validation]
    opposed = replace(data, targets={5: replace(data.targets[5], up=up)})
    assert Boosting(QUICK).fit(opposed, {5: FOLD}, seed=1).effort[5] == QUICK.min_rounds


def test_members_differ_by_seed_and_are_averaged(data: TrainingSet) -> None:
    single = Boosting(QUICK).refit(data, EVERY, effort={5: 20}, seed=5)
    double = Boosting(replace(QUICK, members=2)).refit(data, EVERY, effort={5: 20}, seed=5)
    rows = data.features[:10]
    assert len(double.members[5]) == 2
    assert not np.array_equal(
        single.probability_of(rows, horizon_hours=5), double.probability_of(rows, horizon_hours=5)
    )


STOPPING = {"max_rounds", "min_rounds", "patience_rounds"}
LEARNING = {field.name for field in fields(BoostingParameters)} - STOPPING - {"threads"}


@pytest.mark.parametrize("name", sorted(LEARNING))
def test_every_knob_of_learning_changes_the_model(data: TrainingSet, name: str) -> None:
    """Knobs that are declared and unused were found in published example projects."""
    value = getattr(QUICK, name)
    changed = replace(QUICK, **{name: value / 2 if isinstance(value, float) else max(value // 2, 2)})
    before, after = (Boosting(p).refit(data, EVERY, effort={5: 10}, seed=1).to_onnx()[5].onnx for p in (QUICK, changed))
    assert before != after
    assert Boosting(changed).digest() != Boosting(QUICK).digest()


def test_every_knob_of_stopping_changes_the_rounds(data: TrainingSet) -> None:
    def rounds(of: TrainingSet, **changed: int) -> int:
        return Boosting(replace(QUICK, **changed)).fit(of, {5: FOLD}, seed=1).effort[5]

    assert rounds(data, max_rounds=5, min_rounds=1) == 5 < rounds(data, max_rounds=20, min_rounds=1)
    noise = planted_history(3_000, strength=0.05, seed=8, horizons_hours=(5,))
    assert rounds(noise, min_rounds=30) >= 30 > rounds(noise, min_rounds=1)
    impatient, patient = (rounds(noise, min_rounds=1, patience_rounds=patience) for patience in (1, 40))
    assert impatient < patient
