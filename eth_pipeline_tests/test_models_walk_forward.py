"""Tests of eth_pipeline.models.walk_forward: nothing is known before it is known."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import FittedForecaster
from eth_pipeline.models.out_of_fold import OOF_SCHEMA, WalkForward
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.walk_forward import walk_forward, windows_by_index
from eth_pipeline_tests.planted_history import HOUR, QUICK, SMALL, VOLATILITY, planted_history


def walked(data: TrainingSet) -> WalkForward:
    return walk_forward(data, Boosting(QUICK), settings=SMALL, volatility_feature=VOLATILITY)


def other_outcomes(data: TrainingSet, *, begin: int) -> TrainingSet:
    """The history with every outcome from row `begin` on turned round; features are a copy that may be changed."""
    changed = replace(data, features=data.features.copy(), targets=dict(data.targets))
    for horizon, target in data.targets.items():
        forward = target.forward_return.copy()
        forward[begin:] = -3 * forward[begin:]
        changed.targets[horizon] = replace(target, forward_return=forward, up=(forward > 0).astype(np.float32))
    return changed


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(5_400, strength=0.4, seed=1)


@pytest.fixture(scope="module")
def walk(data: TrainingSet) -> WalkForward:
    return walked(data)


def test_every_hour_is_forecast_once_per_horizon_by_a_model_that_never_saw_it(walk: WalkForward) -> None:
    assert walk.oof.schema == pl.Schema(OOF_SCHEMA)
    assert not walk.oof.select("horizon_hours", "decision_time").is_duplicated().any()
    assert walk.oof["probability"].is_between(0, 1, closed="none").all()
    assert walk.oof["fold"].n_unique() == walk.folds == 3
    assert walk.oof.filter(pl.col("horizon_hours") == 5).height == 5_400 - 2_400


def test_a_changed_future_changes_no_earlier_forecast(data: TrainingSet, walk: WalkForward) -> None:
    """The property behind every out-of-fold figure: refits, calibration, baselines, thresholds read the past only."""
    begin = 2_400 + 1_200
    changed = other_outcomes(data, begin=begin)
    random = np.random.default_rng(9)
    changed.features[begin:] = random.standard_normal(changed.features[begin:].shape)
    earlier, again = pl.col("fold") == 0, walked(changed).oof
    assert again.filter(earlier).equals(walk.oof.filter(earlier))
    assert not again.filter(~earlier).equals(walk.oof.filter(~earlier))


def test_the_outcomes_of_a_window_change_none_of_its_own_forecasts(data: TrainingSet, walk: WalkForward) -> None:
    """A calibration fitted on the rows it is scored on passed every other test here; it flatters each figure."""
    begin = 2_400 + 2 * 1_200
    again = walked(other_outcomes(data, begin=begin)).oof
    said = ["raw_probability", "probability", "constant_probability", "volatility_probability", "position"]
    assert again.select(said).equals(walk.oof.select(said))
    newest = pl.col("fold") == 2
    assert not again.filter(newest)["up"].equals(walk.oof.filter(newest)["up"])


def test_thresholds_wait_for_earlier_windows(walk: WalkForward) -> None:
    """The first window has no past forecasts, so it may not trade; later ones, with this much skill, do."""
    by_fold = walk.oof.group_by("fold").agg(trades=(pl.col("position") != 0).sum()).sort("fold")
    assert by_fold["trades"][0] == 0
    assert by_fold["trades"][-1] > 0


def test_only_ended_labels_teach_whatever_the_horizon(data: TrainingSet) -> None:
    for folds in windows_by_index(data, SMALL):
        assert len({fold.test_start for fold in folds.values()}) == 1
        for horizon, fold in folds.items():
            newest = data.targets[horizon].label_end[fold.learn].max()
            assert newest < fold.test_start - SMALL.embargo_hours * HOUR


def test_the_same_seed_gives_the_same_forecasts(data: TrainingSet, walk: WalkForward) -> None:
    assert walked(data).oof.equals(walk.oof)


def test_windows_side_by_side_give_the_forecasts_of_windows_one_by_one(data: TrainingSet, walk: WalkForward) -> None:
    """Six windows of a rolling history, so that several are under way at a time; threads may change the speed only."""
    settings = SMALL.model_copy(update={"refit_every_hours": 500, "max_train_hours": 2_400})
    found = [
        walk_forward(data, Boosting(replace(QUICK, threads=threads)), settings=settings, volatility_feature=VOLATILITY)
        for threads in (1, 2, 5)
    ]
    assert found[0].folds == 6
    assert found[0].oof.equals(found[1].oof)
    assert found[0].oof.equals(found[2].oof)
    assert found[0].effort == found[1].effort == found[2].effort
    assert found[0].validation_auc == found[2].validation_auc


def test_a_forecaster_that_says_nothing_of_threads_is_fitted_one_window_at_a_time(data: TrainingSet) -> None:
    """A network fills its device alone; two of them at a time would share its memory."""
    under_way, most = 0, 0

    class OneByOne:
        algorithm = "lightgbm"
        digest = Boosting(QUICK).digest
        refit = Boosting(QUICK).refit

        def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedForecaster:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            fitted = Boosting(QUICK).fit(data, folds, seed=seed)
            under_way -= 1
            return fitted

    oof = walk_forward(data, OneByOne(), settings=SMALL, volatility_feature=VOLATILITY).oof
    assert most == 1
    assert oof.equals(walked(data).oof)


def test_the_kept_models_are_those_that_scored_the_newest_windows(data: TrainingSet, walk: WalkForward) -> None:
    kept = walk_forward(data, Boosting(QUICK), settings=SMALL, volatility_feature=VOLATILITY, keep=2).kept
    assert walk.kept == ()
    assert len(kept) == 2
    for fold, window in zip((1, 2), kept, strict=True):
        raw = window.fitted.probability(data, window.test)
        for horizon in (5, 12):
            rows = walk.oof.filter((pl.col("fold") == fold) & (pl.col("horizon_hours") == horizon))
            np.testing.assert_array_equal(rows["raw_probability"].to_numpy(), raw[horizon])
            calibrated = window.calibration[horizon].apply(raw[horizon])
            np.testing.assert_array_equal(rows["probability"].to_numpy(), calibrated)


def test_a_refit_that_fails_ends_the_walk(data: TrainingSet) -> None:
    """A window that is lost in a thread must not be missing from the report in silence."""

    class Failing:
        algorithm = "failing"
        digest = Boosting(QUICK).digest
        refit = Boosting(QUICK).refit

        def side_by_side(self) -> tuple["Failing", int]:
            return self, 2

        def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedForecaster:
            if folds[5].index == 1:
                raise ValueError("the device is gone")
            return Boosting(QUICK).fit(data, folds, seed=seed)

    with pytest.raises(ValueError, match="the device is gone"):
        walk_forward(data, Failing(), settings=SMALL, volatility_feature=VOLATILITY)


def test_progress_counts_the_windows(data: TrainingSet) -> None:
    seen: list[tuple[str, int, int]] = []
    walk_forward(
        data,
        Boosting(replace(QUICK, max_rounds=2, min_rounds=1)),
        settings=SMALL,
        volatility_feature=VOLATILITY,
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    assert seen == [("walk-forward", number, 3) for number in (1, 2, 3)]


def test_a_history_that_leaves_next_to_nothing_to_score_is_refused(data: TrainingSet) -> None:
    settings = SMALL.model_copy(update={"min_train_hours": 5_350})
    with pytest.raises(SettingsInvalid, match="needed to say anything"):
        walk_forward(data, Boosting(QUICK), settings=settings, volatility_feature=VOLATILITY)
