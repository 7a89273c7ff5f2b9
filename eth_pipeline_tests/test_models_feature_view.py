"""Tests of eth_pipeline.models.feature_view: a narrower view, the full input at runtime."""

import numpy as np
import onnxruntime
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.feature_view import FeatureView, FittedFeatureView
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline_tests.planted_history import QUICK, planted_history

VIEW = FeatureView(Boosting(QUICK), name="cross_asset", prefixes=("noise_", "skill"))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(3_000, strength=0.3, seed=4, horizons_hours=(5,))


@pytest.fixture(scope="module")
def fitted(data: TrainingSet) -> FittedFeatureView:
    return VIEW.refit(data, {5: np.arange(3_000)}, effort={5: 30}, seed=1)


def test_a_column_out_of_view_changes_nothing(data: TrainingSet, fitted: FittedFeatureView) -> None:
    unseen = [n for n, name in enumerate(data.feature_names) if not name.startswith(VIEW.prefixes)]
    assert unseen
    changed = data.features.copy()
    changed[:, unseen] = np.nan
    before = fitted.probability_of(data.features, horizon_hours=5)
    assert np.array_equal(before, fitted.probability_of(changed, horizon_hours=5))
    seen = changed.copy()
    seen[:, data.feature_names.index("skill")] = np.nan
    assert not np.array_equal(before, fitted.probability_of(seen, horizon_hours=5))


def test_the_export_takes_the_full_row_and_answers_like_its_source(
    data: TrainingSet, fitted: FittedFeatureView
) -> None:
    exports = fitted.to_onnx()
    probes = fitted.probes(data, sample=np.arange(3_000), seed=2)
    assert probes[5].matrix.shape[1] == len(data.feature_names)
    assert probes[5].at_thresholds > 100
    report = check_parity(exports, lambda rows, h: fitted.probability_of(rows, horizon_hours=h), probes)
    assert report.passed
    session = onnxruntime.InferenceSession(exports[5].onnx, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[-1] == len(data.feature_names)


def test_importance_names_every_feature_and_gives_the_unseen_nothing(
    data: TrainingSet, fitted: FittedFeatureView
) -> None:
    importance = fitted.importance()
    assert tuple(importance) == data.feature_names
    assert sum(importance.values()) == pytest.approx(1.0)
    assert all(share == 0.0 for name, share in importance.items() if not name.startswith(VIEW.prefixes))


def test_the_name_and_the_view_are_part_of_the_digest() -> None:
    others = [
        FeatureView(VIEW.inner, name="other", prefixes=VIEW.prefixes),
        FeatureView(VIEW.inner, name=VIEW.name, prefixes=("skill",)),
    ]
    assert len({VIEW.digest(), VIEW.inner.digest(), *(view.digest() for view in others)}) == 4


def test_a_view_of_nothing_is_refused(data: TrainingSet) -> None:
    with pytest.raises(ContractViolation, match="the training set has none"):
        FeatureView(VIEW.inner, name="btc", prefixes=("btc_",)).refit(data, {5: np.arange(99)}, effort={5: 3}, seed=1)
