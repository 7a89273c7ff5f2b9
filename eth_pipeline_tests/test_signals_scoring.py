"""Messages between the inference service and its client: MLflow's protocol, nothing lost, nothing made up believed."""

import json
import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.artifact import RuntimeContract
from eth_pipeline.contracts.clock import iso
from eth_pipeline.errors import InferenceRefused
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.forecasting.onnx_inputs import InputLayout, onnx_inputs
from eth_pipeline.signals.forecasting.scoring import (
    MAX_HOURS,
    answer_body,
    forecast_answered,
    hours_asked,
    request_body,
)
from eth_pipeline_tests.decision_samples import HOUR, NOON, runtime_contract
from eth_pipeline_tests.inference_host import LEVELS, STATES, WINDOW_HOURS, rich_parts

FLAT = runtime_contract()
WINDOWED = runtime_contract(**rich_parts().fields)
INFO = ModelInfo(version="7", fingerprint="f" * 64, contract=WINDOWED, stacking_enabled=True)
PROBABILITIES = {5: 0.61, 12: 0.55, 24: 0.48}
SAID = Forecast(
    probabilities=PROBABILITIES,
    raw={5: 0.6, 12: 0.54, 24: 0.49},
    coverage=0.75,
    out_of_bounds_share=0.25,
    seconds=0.004,
    source="stacking",
    members={"lightgbm": {5: 0.6, 12: 0.5, 24: 0.4}, "stacking": PROBABILITIES},
    quantiles={5: dict(zip(LEVELS, (-0.02, 0.001, 0.03), strict=True))},
    regime=dict(zip(STATES, (0.5, 0.3, 0.2), strict=True)),
)


def rows(hours: int, *, hole: int | None = None) -> pl.DataFrame:
    """Feature rows of the last `hours` hours, without the one at place `hole`."""
    frame = pl.DataFrame(
        {
            "decision_time": [NOON - (hours - 1 - place) * HOUR for place in range(hours)],
            "c": [0.1 * place for place in range(hours)],
            "unused": "text",
            "a": [1 / 3, None, math.nan, math.inf, 5.0][-hours:],
            "b": -2.5e-17,
        }
    )
    return frame if hole is None else frame.filter(pl.int_range(pl.len()) != hole)


def same(left: pl.DataFrame, right: pl.DataFrame, contract: RuntimeContract) -> bool:
    """Do models read the same arrays from both?"""
    one, two = onnx_inputs(left, InputLayout.of(contract)), onnx_inputs(right, InputLayout.of(contract))
    return (
        np.array_equal(one.window, two.window, equal_nan=True)
        and np.array_equal(one.rows_present, two.rows_present)
        and one.coverage == two.coverage
    )


@pytest.mark.parametrize("hole", [None, 2])
def test_a_window_arrives_as_it_was_with_its_holes(hole: int | None) -> None:
    sent = rows(WINDOW_HOURS, hole=hole)
    (arrived,) = hours_asked(request_body(sent, WINDOWED), WINDOWED)
    assert same(sent, arrived, WINDOWED)


def test_one_row_arrives_bit_by_bit_and_what_is_not_finite_arrives_as_missing() -> None:
    for place in range(5):
        sent = rows(5).slice(place, 1)
        (arrived,) = hours_asked(request_body(sent, FLAT), FLAT)
        assert same(sent, arrived, FLAT)


def test_the_request_is_strict_json_of_the_inputs_alone() -> None:
    """Another column of the table, or a NaN that only Python reads, has no business on the wire."""
    body = json.loads(request_body(rows(1), FLAT), parse_constant=pytest.fail)
    assert body == {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[5.0, -2.5e-17, 0.0]]}}


def test_mlflow_reads_our_request_as_the_frame_that_was_meant() -> None:
    """The parser of MLflow's own scoring server, not our idea of it."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data
    from mlflow.types import ColSpec, Schema

    schema = Schema([ColSpec("double", name) for name in ("a", "b", "c")])
    frame = infer_and_parse_data(json.loads(request_body(rows(1), FLAT)), schema)
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame.iloc[0].tolist() == [5.0, -2.5e-17, 0.0]
    missing = infer_and_parse_data(json.loads(request_body(rows(2).head(1), FLAT)), schema)
    assert math.isnan(missing["a"][0])


def test_every_row_of_a_frame_is_an_hour_for_a_bundle_that_reads_one_row() -> None:
    body = {
        "dataframe_split": {"index": [4, 9], "columns": ["x", "c", "b", "a"], "data": [["t", 3, 2, 1], [0, 6, 5, 4]]}
    }
    hours = hours_asked(json.dumps(body).encode(), FLAT)
    assert [hour.select("a", "b", "c").row(0) for hour in hours] == [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]


@pytest.mark.parametrize("named", [True, False], ids=["named", "bare"])
def test_a_tensor_is_read_in_the_order_of_the_contract(named: bool) -> None:
    tensor = [[1, None, 3], [4, 5, 6]]
    body = {"inputs": {"features": tensor} if named else tensor, "params": {"ignored": 1}}
    hours = hours_asked(json.dumps(body).encode(), FLAT)
    assert [hour.row(0) for hour in hours] == [(1.0, None, 3.0), (4.0, 5.0, 6.0)]


def test_an_hour_without_values_is_a_hole_in_a_tensor_window() -> None:
    sent = rows(WINDOW_HOURS)
    tensor = onnx_inputs(sent, InputLayout.of(WINDOWED)).window
    holed = [[None if math.isnan(value) else float(value) for value in row] for row in tensor]
    holed[1] = [None, None, None]
    (arrived,) = hours_asked(json.dumps({"inputs": [holed]}).encode(), WINDOWED)
    assert same(rows(WINDOW_HOURS, hole=1), arrived, WINDOWED)


def test_the_nan_of_pythons_json_is_a_missing_value() -> None:
    """MLflow's client writes a frame's NaN so."""
    (hour,) = hours_asked(b'{"dataframe_split":{"columns":["a","b","c"],"data":[[NaN,1.0,2.0]]}}', FLAT)
    assert math.isnan(hour["a"][0])


FULL = {"columns": ["a", "b", "c"], "data": [[1.0, 2.0, 3.0]]}
TIMED = ["decision_time", "a", "b", "c"]


@pytest.mark.parametrize(
    ("body", "contract", "words"),
    [
        (b"", FLAT, "scoring protocol"),
        (b"[1]", FLAT, "scoring protocol"),
        (b"\xff", FLAT, "scoring protocol"),
        ({}, FLAT, "exactly one"),
        ({"dataframe_records": [{"a": 1}]}, FLAT, "exactly one"),
        ({"dataframe_split": FULL, "inputs": [[1, 2, 3]]}, FLAT, "exactly one"),
        ({"dataframe_split": {**FULL, "data": []}}, FLAT, "0 rows"),
        ({"dataframe_split": {**FULL, "data": [[1, 2, 3]] * (MAX_HOURS + 1)}}, FLAT, f"{MAX_HOURS + 1} rows"),
        ({"dataframe_split": {**FULL, "data": [[1, 2]]}}, FLAT, "one value per column"),
        ({"dataframe_split": {**FULL, "columns": ["a", "b", "b"]}}, FLAT, "twice"),
        ({"dataframe_split": {**FULL, "columns": ["a", "b", "d"]}}, FLAT, r"missing, first \['c'\]"),
        ({"dataframe_split": {**FULL, "data": [["1", 2, 3]]}}, FLAT, "is a text"),
        ({"dataframe_split": {**FULL, "data": [[True, 2, 3]]}}, FLAT, "scoring protocol"),
        ({"inputs": [[1, 2]]}, FLAT, r"not float \[3\]"),
        ({"inputs": [[[1, 2, 3]]]}, FLAT, r"not float \[3\]"),
        ({"inputs": {"other": [[1, 2, 3]]}}, FLAT, "reads `features`"),
        ({"inputs": []}, FLAT, "0 rows"),
        ({"inputs": [[1, 2, 3]]}, WINDOWED, r"not float \[5, 3\]"),
        ({"inputs": [[[1, 2, 3]] * 4]}, WINDOWED, r"not float \[5, 3\]"),
        ({"dataframe_split": FULL}, WINDOWED, r"missing, first \['decision_time'\]"),
        ({"dataframe_split": {"columns": TIMED, "data": [["noon", 1, 2, 3]]}}, WINDOWED, "noon"),
        ({"dataframe_split": {"columns": TIMED, "data": [["2025-03-03T12:00:00", 1, 2, 3]]}}, WINDOWED, "time zone"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_with_what_is_wrong(
    body: Any, contract: RuntimeContract, words: str
) -> None:
    with pytest.raises(InferenceRefused, match=words):
        hours_asked(body if isinstance(body, bytes) else json.dumps(body).encode(), contract)


def test_an_answer_arrives_as_the_forecast_that_was_made() -> None:
    arrived = forecast_answered(answer_body([SAID], INFO), INFO, seconds=0.5)
    assert arrived == Forecast(**{**vars(SAID), "seconds": 0.5, "remote": True})
    assert list(arrived.regime) == list(STATES)


def test_an_answer_has_the_columns_of_the_registered_version() -> None:
    """A client of `mlflow models serve` makes a frame of `predictions` and takes `probability_up_5h` from it."""
    (prediction,) = json.loads(answer_body([SAID], INFO))["predictions"]
    assert [prediction[f"probability_up_{hours}h"] for hours in (5, 12, 24)] == list(PROBABILITIES.values())


def changed(**fields: Any) -> bytes:
    """The body of an answer whose prediction has other `fields`; None removes one."""
    body = json.loads(answer_body([SAID], INFO))
    body["predictions"][0].update(fields)
    body["predictions"][0] = {name: value for name, value in body["predictions"][0].items() if value is not None}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"source": "lstm"}, "source"),
        ({"source": "lightgbm"}, "source"),
        ({"probabilities": {"5": 0.6, "12": 0.5}}, "source"),
        ({"raw": {"5": 0.6}}, "horizons"),
        ({"members": {"stacking": PROBABILITIES, "oracle": {"5": 0.9}}}, "members"),
        ({"members": {"stacking": PROBABILITIES, "lstm": {"5": 1.2}}}, "members"),
        ({"raw": {"5": math.nan, "12": 0.5, "24": 0.5}}, "raw"),
        ({"coverage": 1.5}, "shares"),
        ({"quantiles": {}}, "quantiles"),
        ({"quantiles": {"5": {"0.1": 0.0, "0.5": 0.1}}}, "quantiles"),
        ({"quantiles": {"5": {"0.1": 0.3, "0.5": 0.1, "0.9": 0.2}}}, "quantiles"),
        ({"quantiles": {"5": {"0.1": -math.inf, "0.5": 0.1, "0.9": 0.2}}}, "quantiles"),
        ({"regime": {"calm": 0.5, "normal": 0.5}}, "regime"),
        ({"regime": {"calm": 0.5, "normal": 0.5, "wild": 0.5}}, "regime"),
        ({"coverage": None}, "agreed shape"),
        ({"raw": "none"}, "agreed shape"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_answer_that_this_bundle_cannot_give_is_refused(fields: dict[str, Any], words: str) -> None:
    """The fingerprint is a word of the other side; the shape of the answer is what this host can check."""
    with pytest.raises(InferenceRefused, match=words):
        forecast_answered(changed(**fields), INFO, seconds=0.1)


def test_an_answer_of_another_bundle_is_refused_by_name() -> None:
    other = ModelInfo(version="8", fingerprint="e" * 64, contract=WINDOWED, stacking_enabled=True)
    with pytest.raises(InferenceRefused, match="eeeeeeeeeeee"):
        forecast_answered(answer_body([SAID], other), INFO, seconds=0.1)


def test_a_stack_that_this_hosts_decision_did_not_enable_never_acts() -> None:
    plain = ModelInfo(version="7", fingerprint=INFO.fingerprint, contract=WINDOWED, stacking_enabled=False)
    with pytest.raises(InferenceRefused, match="source"):
        forecast_answered(answer_body([SAID], INFO), plain, seconds=0.1)


def test_more_or_fewer_hours_than_one_are_refused() -> None:
    for forecasts in ([], [SAID, SAID]):
        with pytest.raises(InferenceRefused, match="one was asked"):
            forecast_answered(answer_body(forecasts, INFO), INFO, seconds=0.1)


def test_times_of_a_window_are_written_with_their_zone() -> None:
    body = json.loads(request_body(rows(WINDOW_HOURS), WINDOWED))
    assert body["dataframe_split"]["data"][-1][0] == iso(NOON) == "2025-03-03T12:00:00Z"
    assert NOON - timedelta(hours=4) == rows(WINDOW_HOURS)["decision_time"][0]
