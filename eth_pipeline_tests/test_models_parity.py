"""Tests of eth_pipeline.models.parity."""

import numpy as np
import onnx
import pytest

from eth_pipeline.errors import ParityFailed
from eth_pipeline.models.dataset import Floats, Matrix, TrainingSet
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.parity import TOLERANCE, check_parity, probe_rows
from eth_pipeline.models.trees.boosting import Boosting, FittedBoosting
from eth_pipeline_tests.planted_history import QUICK, planted_history


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """Features with missing values, with and without; one that is missing half of the time."""
    made = planted_history(3_000, strength=0.3, seed=4, horizons_hours=(5,))
    made.features[::2, 3] = np.nan
    return made


@pytest.fixture(scope="module")
def fitted(data: TrainingSet) -> FittedBoosting:
    return Boosting(QUICK).refit(data, {5: np.arange(3_000)}, effort={5: 40}, seed=1)


@pytest.fixture(scope="module")
def probes(data: TrainingSet, fitted: FittedBoosting) -> Probes:
    return probe_rows(data.features, [booster.dump_model() for booster in fitted.members[5]], seed=2)


def source(fitted: FittedBoosting):
    def reference(rows: Matrix, horizon_hours: int) -> Floats:
        return fitted.probability_of(rows, horizon_hours=horizon_hours)

    return reference


def test_the_export_equals_its_model_on_every_probe(fitted: FittedBoosting, probes: Probes) -> None:
    report = check_parity(fitted.to_onnx(), source(fitted), {5: probes})
    assert report.passed
    assert report.max_abs_difference < 1e-6
    assert report.rows_at_thresholds > 500
    assert report.p50_milliseconds > 0


def test_every_split_is_visited_on_its_threshold_and_on_both_sides(fitted: FittedBoosting, probes: Probes) -> None:
    """The answers on the threshold and one step above it differ for nearly every split, so the probes do reach it."""
    edges = probes.matrix[-probes.at_thresholds :]
    answers = fitted.probability_of(edges, horizon_hours=5).reshape(-1, 4)
    assert (answers[:, 0] != answers[:, 1]).mean() > 0.95


def test_around_a_threshold_lie_its_two_neighbours_and_a_missing_value_and_nothing_else_differs(probes: Probes) -> None:
    """A step of more than one float would leave room for a threshold that was rounded the wrong way."""
    groups = probes.matrix[-probes.at_thresholds :].reshape(-1, 4, probes.matrix.shape[1])
    differs = ~((groups == groups[:, :1]) | (np.isnan(groups) & np.isnan(groups[:, :1]))).all(axis=1)
    assert (differs.sum(axis=1) == 1).all()
    at, above, below, missing = groups[np.arange(len(groups)), :, differs.argmax(axis=1)].T
    assert np.array_equal(above, np.nextafter(at, np.float32(np.inf)))
    assert np.array_equal(below, np.nextafter(at, np.float32(-np.inf)))
    assert np.isnan(missing).all()


def nearest_rounded(model: OnnxModel, fitted: FittedBoosting) -> OnnxModel:
    """The export as the generic converters make it: thresholds rounded to the nearest float32."""
    graph = onnx.load_from_string(model.onnx)
    values = next(a for a in graph.graph.node[0].attribute if a.name == "nodes_values")
    exact = np.array([t for b in fitted.members[5] for t in b.trees_to_dataframe()["threshold"].dropna()])
    nearest = {float(np.float32(t)) for t in exact}
    for position, value in enumerate(values.floats):
        above = float(np.nextafter(np.float32(value), np.float32(np.inf)))
        if value not in nearest and above in nearest:
            values.floats[position] = above
    return OnnxModel(graph.SerializeToString(), model.input_name, model.output_name, model.opset)


def test_an_export_with_thresholds_rounded_to_nearest_is_caught(fitted: FittedBoosting, probes: Probes) -> None:
    """Random rows alone pass such an export; the rows on the thresholds do not."""
    wrong = {5: nearest_rounded(fitted.to_onnx()[5], fitted)}
    random_only = Probes(probes.matrix[:2_000] + np.float32(1e-3), at_thresholds=0, tolerance=TOLERANCE)
    assert check_parity(wrong, source(fitted), {5: random_only}).passed
    with pytest.raises(ParityFailed, match="differs from its model"):
        check_parity(wrong, source(fitted), {5: probes})


def test_an_export_of_another_model_is_caught(data: TrainingSet, fitted: FittedBoosting, probes: Probes) -> None:
    other = Boosting(QUICK).refit(data, {5: np.arange(2_000)}, effort={5: 40}, seed=1)
    with pytest.raises(ParityFailed, match="Do not bundle"):
        check_parity(other.to_onnx(), source(fitted), {5: probes})


def test_one_row_alone_answers_as_it_does_in_a_batch(fitted: FittedBoosting, probes: Probes) -> None:
    import onnxruntime

    model = fitted.to_onnx()[5]
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    batch = session.run(None, {model.input_name: probes.matrix[:50]})[0]
    alone = [session.run(None, {model.input_name: probes.matrix[row : row + 1]})[0][0] for row in range(50)]
    np.testing.assert_allclose(alone, batch, atol=1e-7)
