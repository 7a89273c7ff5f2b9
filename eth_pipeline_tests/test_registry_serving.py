"""A registered version is an MLflow model: MLflow's own client loads it, its own server serves it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from eth_pipeline.contracts.artifact import HorizonModel, RuntimeContract
from eth_pipeline.errors import ModelRefused
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint
from eth_pipeline.registry.bundles.served_model import matches, read_models, served_model
from eth_pipeline.registry.bundles.verification import read_contract
from eth_pipeline.registry.mlflow_store import RegisteredVersion, RegistryStore
from eth_pipeline.signals.forecasting.forecast import calibrate
from eth_pipeline_tests.registry_maker import (
    candidate,
    contract,
    decision,
    key_pair,
    registry_folder,
    tiny_model,
)

ROWS = np.random.default_rng(3).normal(size=(50, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> tuple[RegistryStore, RegisteredVersion, Path]:
    """A version in production, whose models are calibrated, and its bundle."""
    registry, folder = registry_folder(tmp_path_factory), tmp_path_factory.mktemp("bundle")
    store = RegistryStore(f"sqlite:///{registry / 'mlflow.db'}", artifact_root=registry / "artifacts")
    models = tuple(
        model.model_copy(update={"calibration_slope": 0.7, "calibration_intercept": 0.2}) for model in contract().models
    )
    figures = candidate(folder / "a", models=models)
    made = decision(folder / "a", figures)
    attach_decision(folder / "a", made, private_key=key_pair(folder / "keys") / "bundle.key")
    plots = {"calibration.png": b"\x89PNG\r\n"}
    params = {"parameters_digest": "d" * 64}
    version = store.register_candidate(
        folder / "a", report=figures, decision=made, run_tags={}, params=params, plots=plots
    )
    store.promote(version.version)
    return store, version, folder / "a"


def calibrated(content: bytes, model: HorizonModel, rows: Any) -> list[float]:
    """What the hourly path forecasts: the raw model by ONNX Runtime, calibrated by the runtime's own function."""
    import onnxruntime

    (raw,) = onnxruntime.InferenceSession(content).run(["probability"], {"features": rows})
    return [calibrate(float(value), model) for value in raw]


def forecasts(bundle: Path, rows: Any) -> dict[str, list[float]]:
    """Calibrated probabilities by output name."""
    made = read_contract(bundle)
    models = read_models(bundle, made)
    return {f"probability_up_{m.horizon_hours}h": calibrated(models[m.file], m, rows) for m in made.primary_models}


def test_mlflow_loads_the_production_version_and_it_forecasts_as_the_hourly_path_does(
    registered: tuple[RegistryStore, RegisteredVersion, Path],
) -> None:
    store, _, bundle = registered
    import mlflow.onnx
    import onnxruntime

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(store.tracking_uri)
    mlflow.set_registry_uri(store.tracking_uri)
    try:
        loaded = mlflow.onnx.load_model(f"models:/{store.model_name}@production")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    session = onnxruntime.InferenceSession(loaded.SerializeToString())
    answers = session.run(None, {"features": ROWS})
    wanted = forecasts(bundle, ROWS)
    assert [port.name for port in session.get_outputs()] == list(wanted)
    for answer, expected in zip(answers, wanted.values(), strict=True):
        assert np.abs(answer - expected).max() < 1e-12


def test_the_served_graph_is_traceable_to_the_bundle_and_can_be_derived_again(
    registered: tuple[RegistryStore, RegisteredVersion, Path], tmp_path: Path
) -> None:
    store, version, bundle = registered
    from mlflow.artifacts import download_artifacts

    source = store._model_version(version.version).source
    folder = Path(download_artifacts(artifact_uri=source, dst_path=str(tmp_path), tracking_uri=store.tracking_uri))
    assert fingerprint(folder / "bundle") == version.fingerprint == fingerprint(bundle)
    assert f"fingerprint: {version.fingerprint}" in (folder / "MLmodel").read_text()
    served = (folder / "model.onnx").read_bytes()
    made = read_contract(bundle)
    assert matches(served, folder=bundle, contract=made, fingerprint=version.fingerprint)
    changed = bytearray(served)
    changed[len(changed) // 2] ^= 1
    assert not matches(bytes(changed), folder=bundle, contract=made, fingerprint=version.fingerprint)


def test_the_run_holds_plots_data_sets_and_lake_versions(
    registered: tuple[RegistryStore, RegisteredVersion, Path],
) -> None:
    store, version, _ = registered
    from mlflow import MlflowClient

    client = MlflowClient(store.tracking_uri, store.tracking_uri)
    run = client.get_run(version.run_id)
    assert [file.path for file in client.list_artifacts(version.run_id, "plots")] == ["plots/calibration.png"]
    inputs = {entry.dataset.name: entry.dataset for entry in run.inputs.dataset_inputs}
    assert inputs["training_set"].digest == "a" * 36
    assert json.loads(inputs["training_set"].source)["sha256"] == "a" * 64
    assert json.loads(inputs["features"].source)["delta_table_version"] == 3
    assert run.data.tags["lake_version_labels"] == "2"


@pytest.fixture
def server(registered: tuple[RegistryStore, RegisteredVersion, Path], tmp_path: Path) -> Iterator[str]:
    """`mlflow models serve` of the production version, on loopback."""
    store, _, _ = registered
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{store.model_name}@production"]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store.tracking_uri,
        "MLFLOW_REGISTRY_URI": store.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, tmp_path / "server.log")
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.wait(timeout=30)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/ping", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.2)  # a server of another program has no event to wait for
    pytest.fail(f"the server did not come up:\n{log.read_text()[-3000:]}")


def test_mlflow_models_serve_answers_as_the_hourly_path_does(
    server: str, registered: tuple[RegistryStore, RegisteredVersion, Path]
) -> None:
    _, _, bundle = registered
    answer = httpx2.post(f"{server}/invocations", json={"inputs": ROWS[:4].tolist()}, timeout=30)
    assert answer.status_code == 200, answer.text
    wanted = forecasts(bundle, ROWS[:4])
    predicted = answer.json()["predictions"]
    assert set(predicted) == set(wanted)
    for name, expected in wanted.items():
        assert np.abs(np.array(predicted[name]) - expected).max() < 1e-9


def window_model(window_hours: int) -> bytes:
    """Two horizons out of one file that reads a window, as a sequence network does."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(7).normal(size=(window_hours * 2, 2)).astype(np.float32)
    nodes = [
        helper.make_node("Reshape", ["features", "wide"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["heads"]),
        helper.make_node("Split", ["heads"], ["first", "second"], axis=1, num_outputs=2),
        helper.make_node("Reshape", ["first", "all"], ["up_5h"]),
        helper.make_node("Reshape", ["second", "all"], ["up_12h"]),
    ]
    graph = helper.make_graph(
        nodes,
        "window",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", window_hours, 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows"]) for name in ("up_5h", "up_12h")],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([-1, window_hours * 2], dtype=np.int64), "wide"),
            numpy_helper.from_array(np.array([-1], dtype=np.int64), "all"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(made.SerializeToString())


def sequence_contract(**changes: Any) -> RuntimeContract:
    base = contract().models[0].model_copy(update={"file": "lstm.onnx", "algorithm": "lstm", "window_hours": 6})
    models = tuple(
        base.model_copy(update={"horizon_hours": hours, "output_name": f"up_{hours}h", **changes}) for hours in (5, 12)
    )
    return contract(models=models, primary_algorithm="lstm", opset=18)


def test_a_network_that_shares_one_file_among_its_horizons_is_served_too() -> None:
    import onnxruntime

    content, made = window_model(6), sequence_contract(calibration_slope=1.3)
    served = served_model(made, {"lstm.onnx": content}, fingerprint="f" * 64)
    rows = np.random.default_rng(5).normal(size=(7, 6, 2)).astype(np.float32)
    answers = onnxruntime.InferenceSession(served).run(None, {"features": rows})
    raw = onnxruntime.InferenceSession(content).run(None, {"features": rows})
    for answer, part, model in zip(answers, raw, made.primary_models, strict=True):
        assert answer == pytest.approx([calibrate(float(value), model) for value in part], abs=1e-12)


def test_primary_models_that_cannot_share_a_graph_are_refused() -> None:
    made = contract()
    mixed = {"lightgbm_5h.onnx": tiny_model(b"a"), "lightgbm_12h.onnx": tiny_model(b"b", opset=18)}
    with pytest.raises(ModelRefused, match="different operator sets"):
        served_model(made, mixed, fingerprint="f" * 64)
    same = {model.file: tiny_model(b"a") for model in made.models}
    longer = made.models[1].model_copy(update={"window_hours": 6})
    uneven = made.model_copy(update={"models": (made.models[0], longer)})
    with pytest.raises(ModelRefused, match="cannot be served as one graph"):
        served_model(uneven, same, fingerprint="f" * 64)


def test_a_raw_answer_at_the_edge_is_calibrated_as_the_hourly_path_calibrates_it() -> None:
    """Probability 1 has no logit; both sides must keep the same distance from it."""
    import onnxruntime

    made = contract()
    content = tiny_model(b"edge")
    served = served_model(made, {model.file: content for model in made.models}, fingerprint="f" * 64)
    extreme = np.array([[1e6, 1e6], [-1e6, -1e6], [1e6, -1e6]], dtype=np.float32)
    answers = onnxruntime.InferenceSession(served).run(None, {"features": extreme})
    for answer, model in zip(answers, made.primary_models, strict=True):
        assert answer == pytest.approx(calibrated(content, model, extreme), abs=1e-15)
