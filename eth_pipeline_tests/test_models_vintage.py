"""Tests of models.vintage and vintage_forecasts: only what could have been known, the answers of the walk-forward."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from eth_pipeline.errors import ContractViolation, SettingsInvalid
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.vintages.vintage import Vintage, train_vintage
from eth_pipeline.models.vintages.vintage_forecasts import score_vintage, windows
from eth_pipeline.models.walk_forward import walk_forward, windows_by_index
from eth_pipeline_tests.planted_history import QUICK, SMALL, planted_history


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(6_000, strength=0.25, seed=1)


def cutoff_of(data: TrainingSet, row: int) -> datetime:
    instant: datetime = data.decision_time[row].astype("datetime64[us]").item()
    return instant.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def vintage(data: TrainingSet) -> Vintage:
    return train_vintage(data, Boosting(QUICK), cutoff=cutoff_of(data, 3_600), settings=SMALL)


def poisoned(data: TrainingSet, since: int) -> TrainingSet:
    """The same history with every outcome and feature from row `since` on turned into nonsense."""
    features = data.features.copy()
    features[since:] = 1e6
    late = data.decision_time >= data.decision_time[since]
    targets = {
        h: HorizonTarget(
            up=np.where(late | (t.label_end >= data.decision_time[since]), 1 - t.up, t.up).astype(np.float32),
            forward_return=np.where(late, -t.forward_return, t.forward_return),
            late_return=t.late_return,
            label_end=t.label_end,
        )
        for h, t in data.targets.items()
    }
    return replace(data, features=features, targets=targets)


def test_a_vintage_learns_nothing_from_its_cutoff_on_nor_from_the_embargo_before_it(
    data: TrainingSet, vintage: Vintage
) -> None:
    again = train_vintage(
        poisoned(data, 3_600 - SMALL.embargo_hours), Boosting(QUICK), cutoff=vintage.cutoff, settings=SMALL
    )
    assert [m.onnx for m in again.models] == [m.onnx for m in vintage.models]
    assert again.models == vintage.models
    earlier = train_vintage(poisoned(data, 3_400), Boosting(QUICK), cutoff=vintage.cutoff, settings=SMALL)
    assert [m.onnx for m in earlier.models] != [m.onnx for m in vintage.models]
    assert vintage.trained_until < vintage.cutoff - timedelta(hours=SMALL.embargo_hours)


def test_the_months_of_a_vintage_are_forecast_as_the_walk_forward_forecasts_them(data: TrainingSet) -> None:
    """One refit taken out of the walk-forward is that refit, through ONNX."""
    walk = walk_forward(data, Boosting(QUICK), settings=SMALL, volatility_feature="realised_vol_24h")
    fold = windows_by_index(data, SMALL)[1][5]
    row = int(np.flatnonzero(data.decision_time == fold.test_start)[0])
    vintage = train_vintage(data, Boosting(QUICK), cutoff=cutoff_of(data, row), settings=SMALL)
    ours = score_vintage(vintage, data, rows=fold.test).filter(horizon_hours=5)
    theirs = walk.oof.filter(horizon_hours=5, fold=1)
    assert ours["decision_time"].to_list() == theirs["decision_time"].to_list()
    assert ours["probability"].to_numpy() == pytest.approx(theirs["probability"].to_numpy(), abs=1e-5)


def test_an_hour_before_the_cutoff_is_not_forecast(data: TrainingSet, vintage: Vintage) -> None:
    with pytest.raises(SettingsInvalid, match="before its cutoff"):
        score_vintage(vintage, data, rows=np.array([3_599, 3_600]))
    assert score_vintage(vintage, data, rows=np.array([3_600])).height == 2
    assert score_vintage(vintage, data, rows=np.empty(0, dtype=np.int64)).height == 0


def test_a_cutoff_with_too_little_history_is_refused_in_words(data: TrainingSet) -> None:
    with pytest.raises(SettingsInvalid, match="min_train_hours"):
        train_vintage(data, Boosting(QUICK), cutoff=cutoff_of(data, 500), settings=SMALL)


def test_the_newest_month_needs_no_outcomes_of_its_own(data: TrainingSet) -> None:
    """The vintage of the current month is trained before any of its hours is over."""
    end = cutoff_of(data, 5_999) + timedelta(days=10)
    assert train_vintage(data, Boosting(QUICK), cutoff=end, settings=SMALL).rows[5] > 5_000


def test_a_vintage_picks_its_inputs_by_name_whatever_else_the_features_hold(
    data: TrainingSet, vintage: Vintage
) -> None:
    """Features may be added, and their order may change, after a vintage was trained."""
    order = np.random.default_rng(3).permutation(len(data.feature_names))
    wider = replace(
        data,
        features=np.column_stack([np.ones(len(data.features), np.float32), data.features[:, order]]),
        feature_names=("new", *(data.feature_names[n] for n in order)),
    )
    rows = np.arange(3_700, 3_800)
    assert score_vintage(vintage, wider, rows=rows).equals(score_vintage(vintage, data, rows=rows))
    with pytest.raises(ContractViolation, match="no such columns"):
        score_vintage(vintage, replace(wider, feature_names=("a", *wider.feature_names[1:-1], "z")), rows=rows)


def test_windows_lie_on_the_hours_and_holes_are_missing(data: TrainingSet) -> None:
    kept = np.delete(np.arange(200), [50, 51])
    holed = replace(data, decision_time=data.decision_time[kept], features=data.features[kept])
    made = windows(holed, np.array([0, 52]), window_hours=5)
    assert made.shape == (2, 5, data.features.shape[1])
    assert np.isnan(made[0, :4]).all()
    assert np.array_equal(made[0, 4], data.features[0], equal_nan=True)
    assert np.isnan(made[1, [0, 1]]).all() or np.isnan(made[1]).all(axis=1).sum() == 2
    assert np.array_equal(made[1, 4], data.features[54], equal_nan=True)
