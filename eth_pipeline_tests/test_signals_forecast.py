"""The forecaster, on a small real ONNX model: sigmoid of a weighted sum, NaN counted as 0."""

import math
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.artifact import MODELS, HorizonModel, PromotionDecision, QuantileModel, RuntimeContract
from eth_pipeline.errors import BundleExpired, BundleRefused, SchemaMismatch
from eth_pipeline.registry.bundles.bundle import VerifiedBundle
from eth_pipeline.signals.forecasting.forecast import BundleForecaster, calibrate
from eth_pipeline_tests.decision_samples import NOON, runtime_contract

WEIGHTS = (1.0, 10.0, 100.0)
ROW = pl.DataFrame({"c": [0.003], "unused": [9.0], "a": [0.1], "b": [0.02]})


def _spread_bytes(values: tuple[float, ...]) -> bytes:
    """A model that answers `values` for every row."""
    from onnx import TensorProto, helper

    number = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Identity", ["values"], ["quantiles"])],
        "spread",
        [helper.make_tensor_value_info("features", number, [None, 3])],
        [helper.make_tensor_value_info("quantiles", number, [1, len(values)])],
        [helper.make_tensor("values", number, [1, len(values)], values)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _onnx_bytes(*, sigmoid: bool) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    number = TensorProto.FLOAT
    nodes = [
        helper.make_node("IsNaN", ["features"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "features"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["score"]),
        helper.make_node("Sigmoid" if sigmoid else "Identity", ["score"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "weighted_sum",
        [helper.make_tensor_value_info("features", number, [None, 3])],
        [helper.make_tensor_value_info("probability", number, [None])],
        [
            helper.make_tensor("weights", number, [3, 1], WEIGHTS),
            helper.make_tensor("zero", number, [], [0.0]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _forecaster(folder: Path, *, contract: RuntimeContract | None = None, sigmoid: bool = True) -> BundleForecaster:
    contract = contract or runtime_contract()
    (folder / MODELS).mkdir()
    for model in contract.models:
        (folder / MODELS / model.file).write_bytes(_onnx_bytes(sigmoid=sigmoid))
    for spread in contract.quantiles:
        (folder / MODELS / spread.file).write_bytes(_spread_bytes((-0.001, 0.0, 0.001)))
    decision = PromotionDecision(
        decision_id="d1",
        decided_at=NOON,
        phase="paper",
        candidate_fingerprint="f1nger",
        champion_fingerprint=None,
        provenance="simulated",
        promoted=True,
        gates=(),
        pays_after_costs=False,
        summary="promoted",
    )
    bundle = VerifiedBundle(folder=folder, contract=contract, decision=decision, report=None, fingerprint="f1nger")
    return BundleForecaster(bundle, version="7")


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def test_inputs_are_ordered_by_the_contract_and_not_by_the_row(tmp_path: Path) -> None:
    answer = _forecaster(tmp_path).forecast(ROW, now=NOON)
    expected = _sigmoid(0.1 * 1 + 0.02 * 10 + 0.003 * 100)
    assert answer.raw == pytest.approx({5: expected, 12: expected, 24: expected}, rel=1e-5)
    assert answer.probabilities == pytest.approx(answer.raw)
    assert (answer.coverage, answer.out_of_bounds_share) == (1.0, 0.0)
    assert answer.seconds > 0


def test_missing_and_infinite_values_reach_the_model_as_nan_and_lower_the_coverage(tmp_path: Path) -> None:
    row = ROW.with_columns(a=pl.lit(None, pl.Float64), b=pl.lit(math.inf))
    answer = _forecaster(tmp_path).forecast(row, now=NOON)
    assert answer.raw[5] == pytest.approx(_sigmoid(0.3), rel=1e-5)
    assert answer.coverage == pytest.approx(1 / 3)


def test_inputs_beyond_their_training_bounds_are_counted(tmp_path: Path) -> None:
    row = ROW.with_columns(a=pl.lit(-3.5), b=pl.lit(None, pl.Float64))
    assert _forecaster(tmp_path).forecast(row, now=NOON).out_of_bounds_share == 0.5


def test_each_horizon_is_calibrated_by_its_own_constants(tmp_path: Path) -> None:
    models = tuple(
        model.model_copy(update={"calibration_slope": 0.5, "calibration_intercept": 0.1 * n})
        for n, model in enumerate(runtime_contract().models)
    )
    answer = _forecaster(tmp_path, contract=runtime_contract(models=models)).forecast(ROW, now=NOON)
    expected = {5: _sigmoid(0.3), 12: _sigmoid(0.4), 24: _sigmoid(0.5)}
    assert answer.probabilities == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("raw", [0.0, 1e-12, 0.5, 1.0])
def test_a_calibrated_probability_stays_a_probability(raw: float) -> None:
    model: HorizonModel = runtime_contract().models[0].model_copy(update={"calibration_slope": 200.0})
    assert 0.0 <= calibrate(raw, model) <= 1.0


def test_offsets_that_turn_quantiles_round_leave_them_ascending(tmp_path: Path) -> None:
    spread = QuantileModel(
        horizon_hours=5,
        file="quantiles_5h.onnx",
        input_name="features",
        output_name="quantiles",
        levels=(0.1, 0.5, 0.9),
        offsets=(0.02, 0.0, -0.02),
    )
    answer = _forecaster(tmp_path, contract=runtime_contract(quantiles=(spread,))).forecast(ROW, now=NOON)
    assert answer.quantiles[5] == pytest.approx({0.1: -0.019, 0.5: 0.0, 0.9: 0.019})


def test_a_missing_input_column_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"\['b'\]"):
        _forecaster(tmp_path).forecast(ROW.drop("b"), now=NOON)


def test_no_row_and_two_rows_are_refused(tmp_path: Path) -> None:
    forecaster = _forecaster(tmp_path)
    for rows in (ROW.head(0), pl.concat([ROW, ROW])):
        with pytest.raises(SchemaMismatch, match="one row"):
            forecaster.forecast(rows, now=NOON)


def test_the_expiry_is_checked_on_every_call(tmp_path: Path) -> None:
    """A process may outlive its bundle."""
    forecaster = _forecaster(tmp_path)
    expires_at = runtime_contract().expires_at
    forecaster.forecast(ROW, now=expires_at - timedelta(microseconds=1))
    with pytest.raises(BundleExpired, match="expired at"):
        forecaster.forecast(ROW, now=expires_at)


def test_an_answer_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    """The reviewed system answered 0.5 with success where it had no model."""
    with pytest.raises(BundleRefused, match="no probability"):
        _forecaster(tmp_path, sigmoid=False).forecast(ROW.with_columns(a=pl.lit(2.0)), now=NOON)
