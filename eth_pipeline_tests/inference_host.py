"""A host with feature rows and signed bundles of real ONNX models, and the inference service as a real process.

Belongs here: makers for the tests of forecasts by service, by this host and by a shadow. Does not belong: assertions.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import (
    FeatureInput,
    HorizonModel,
    QuantileModel,
    RegimeModel,
    RuntimeContract,
    StackModel,
)
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.features.catalogue import feature_names, features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint, write_bundle
from eth_pipeline.registry.bundles.signing import create_key_pair
from eth_pipeline.registry.bundles.verification import VerifiedBundle, verify_bundle
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.production import point_to
from eth_pipeline.settings import GateSettings, Settings
from eth_pipeline.signals.evidence import compute_forecasts
from eth_pipeline.signals.forecasting.bundle_in_use import expectations, running_schema
from eth_pipeline_tests.decision_samples import HOUR, NOON, sample_settings
from eth_pipeline_tests.registry_maker import contract, data_versions, report

EXPIRES = NOON + timedelta(days=10)
CLOCK = NOON + timedelta(seconds=20)
TOKEN = "0123456789abcdef-a-token-of-tests"
WINDOW_HOURS = 5
LEVELS = (0.1, 0.5, 0.9)
STATES = ("calm", "normal", "wild")
INPUTS = 3


def network(
    output: str, *, weights: Sequence[Sequence[float]], bias: Sequence[float], window_hours: int = 1, last: str
) -> bytes:
    """ONNX: `last`(features @ weights + bias), NaN counted as 0, a window averaged over its hours.

    Args:
        weights: [inputs][outputs].
        bias: [outputs].
        last: operator at the end, for example `Sigmoid`; one output is squeezed to [rows].
    """
    from onnx import TensorProto, helper, numpy_helper

    number, outputs = TensorProto.FLOAT, len(bias)
    shape = [None, INPUTS] if window_hours == 1 else [None, window_hours, INPUTS]
    nodes = [
        helper.make_node("IsNaN", ["features"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "features"], ["present"]),
        *([helper.make_node("ReduceMean", ["present"], ["row"], axes=[1], keepdims=0)] if window_hours > 1 else []),
        helper.make_node("Gemm", ["row" if window_hours > 1 else "present", "weights", "bias"], ["score"]),
        helper.make_node(last, ["score"], ["answer"]),
        helper.make_node("Reshape", ["answer", "shape"], [output]),
    ]
    constants = [
        numpy_helper.from_array(np.array(weights, dtype=np.float32), "weights"),
        numpy_helper.from_array(np.array(bias, dtype=np.float32), "bias"),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.array([-1] if outputs == 1 else [-1, outputs], dtype=np.int64), "shape"),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("features", number, shape)],
        [helper.make_tensor_value_info(output, number, [None] if outputs == 1 else [None, outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def breaking_model() -> bytes:
    """A valid graph that ONNX Runtime opens and cannot run: it asks for 7 values where there are 3."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Reshape", ["features", "shape"], ["probability"])],
        "breaking",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, INPUTS])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.array([7], dtype=np.int64), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def wandering_model() -> bytes:
    """A model that draws a new probability every time it is asked, each session from the same seed: the first answer
    is as expected, the next is not, as of a device that breaks while it serves.
    """
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("RandomUniform", [], ["probability"], shape=[1], low=0.1, high=0.9)],
        "wandering",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, INPUTS])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class BundleParts:
    """What `InferenceHost.write` writes: models by file, and the contract's fields about them."""

    files: dict[str, bytes]
    fields: dict[str, Any]


def plain_parts(*, bias: float = 0.4, model: bytes | None = None) -> BundleParts:
    """LightGBM alone, one row, three horizons."""
    content = model or network("probability", weights=[[0.9], [-0.7], [0.3]], bias=[bias], last="Sigmoid")
    models = tuple(_horizon("lightgbm", hours, "probability", window_hours=1) for hours in (5, 12, 24))
    return BundleParts({model.file: content for model in models}, {"models": models})


def rich_parts(*, bias: float = 0.4) -> BundleParts:
    """LightGBM and a network over a window, their stack, quantiles and a regime."""
    trees = plain_parts(bias=bias)
    sequence = network(
        "probability", weights=[[0.2], [0.5], [-0.4]], bias=[bias], window_hours=WINDOW_HOURS, last="Sigmoid"
    )
    models = tuple(_horizon("lstm", hours, "probability", window_hours=WINDOW_HOURS) for hours in (5, 12, 24))
    quantiles = network("levels", weights=[[0.01] * 3] * INPUTS, bias=[-0.02, 0.001, 0.02], last="Identity")
    regime = network("states", weights=[[0.1, 0.0, -0.2]] * INPUTS, bias=[0.3, 0.1, -0.4], last="Softmax")
    fields = {
        "models": (*trees.fields["models"], *models),
        "stacks": tuple(_stack(hours) for hours in (5, 12, 24)),
        "quantiles": (
            QuantileModel(
                horizon_hours=5,
                file="quantile_5h.onnx",
                input_name="features",
                output_name="levels",
                levels=LEVELS,
                offsets=(-0.001, 0.0, 0.001),
            ),
        ),
        "regime": RegimeModel(file="regime.onnx", input_name="features", output_name="states", states=STATES),
    }
    files = {**trees.files, **{m.file: sequence for m in models}, "quantile_5h.onnx": quantiles, "regime.onnx": regime}
    return BundleParts(files, fields)


def _horizon(algorithm: str, hours: int, output: str, *, window_hours: int) -> HorizonModel:
    return HorizonModel(
        horizon_hours=hours,
        file=f"{algorithm}_{hours}h.onnx",
        algorithm=algorithm,
        input_name="features",
        output_name=output,
        window_hours=window_hours,
        calibration_slope=0.8,
        calibration_intercept=0.01 * hours,
        long_threshold=0.55,
        short_threshold=0.45,
    )


def _stack(hours: int) -> StackModel:
    return StackModel(
        horizon_hours=hours,
        algorithms=("lightgbm", "lstm"),
        coefficients=(0.6, 0.5),
        intercept=0.02,
        rows=20_000,
        long_threshold=0.55,
        short_threshold=0.45,
    )


class InferenceHost:
    """A lake with the feature rows of some hours, keys, and bundles on demand.

    Args:
        folder: everything is below it.
        hours: feature rows up to and including `NOON`.
        inference: fields of `InferenceSettings`.
    """

    def __init__(self, folder: Path, *, hours: int = 12, **inference: Any) -> None:
        self.folder = folder
        self.settings: Settings = sample_settings(folder / "home")
        self.configure(**inference)
        self.lake = Lake(self.settings.lake_location)
        self.table = features_contract(symbol="ETHUSDT", cross_symbols=self.settings.cross_symbols)
        self.inputs = feature_names(symbol="ETHUSDT", cross_symbols=self.settings.cross_symbols)[:INPUTS]
        self.lake.replace(self.table, self._features(hours))
        create_key_pair(private_key=self.settings.private_key_path, public_key=self.settings.public_key_paths[0])

    def configure(self, **inference: Any) -> None:
        """Change fields of `InferenceSettings`."""
        section = self.settings.inference.model_copy(update=inference)
        self.settings = self.settings.model_copy(update={"inference": section})

    def _features(self, hours: int) -> pl.DataFrame:
        random = np.random.default_rng(3)
        times = [NOON - (hours - 1 - place) * HOUR for place in range(hours)]
        columns: dict[str, Any] = {name: random.normal(scale=0.6, size=hours) for name in self.table.schema}
        fixed = {"symbol": "ETHUSDT", "decision_time": times, "available_at": times, "coverage": 0.97}
        frame = pl.DataFrame({**columns, **fixed, "provenance": "simulated"}).select(list(self.table.schema))
        holed = pl.when(pl.int_range(pl.len()) % 4 == 1).then(None).otherwise(pl.col(self.inputs[1]))
        return frame.cast(dict(self.table.schema)).with_columns(holed.alias(self.inputs[1]))

    def contract(self, parts: BundleParts, **changes: Any) -> RuntimeContract:
        """The runtime contract of a bundle for this host."""
        fields: dict[str, Any] = {
            "created_at": NOON - timedelta(days=1),
            "expires_at": EXPIRES,
            "provenance": "simulated",
            "feature_schema": running_schema(self.settings),
            "inputs": tuple(FeatureInput(name=name, lower=-4.0, upper=4.5) for name in self.inputs),
            **parts.fields,
        }
        return contract(**{**fields, **changes})

    def write(
        self, name: str, parts: BundleParts, *, promoted: bool = True, stacking: bool = False, **changes: Any
    ) -> Path:
        """A decided and signed bundle in the folder `name`."""
        folder = self.folder / name
        figures = report(provenance="simulated")
        write_bundle(
            folder,
            contract=self.contract(parts, **changes),
            models=parts.files,
            report=figures,
            data=data_versions(),
        )
        made = decide(
            figures,
            phase="paper",
            settings=GateSettings(),
            candidate_fingerprint=fingerprint(folder),
            champion_fingerprint=None,
            champion_comparison=None,
            decided_at=NOON,
        )
        made = made.model_copy(update={"stacking_enabled": stacking, "promoted": promoted and made.promoted})
        attach_decision(folder, made, private_key=self.settings.private_key_path)
        return folder

    def produce(self, name: str, parts: BundleParts | None = None, **kind: Any) -> VerifiedBundle:
        """Put a bundle into production; `kind` as for `write`."""
        return self.promote(self.write(name, parts or plain_parts(), **kind), version=name)

    def promote(self, folder: Path, *, version: str) -> VerifiedBundle:
        """Move the bundle in `folder` into production."""
        kept = self.settings.home / "production" / fingerprint(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(kept)
        bundle = verify_bundle(kept, **expectations(self.settings, now=NOON))
        point_to(bundle, version=version, home=self.settings.home, verified_at=NOON)
        return bundle

    def rows(self, hours: int = 1, *, at: datetime = NOON) -> pl.DataFrame:
        """Feature rows of the last `hours` hours."""
        return self.lake.read(self.table).filter(pl.col("decision_time") <= at).sort("decision_time").tail(hours)

    def forecast(self, decision_time: datetime = NOON, *, now: datetime | None = None) -> pl.DataFrame:
        """What the asset `forecast` does; the rows it stored."""
        now = now or decision_time + timedelta(seconds=20)
        rows = compute_forecasts(self.lake, settings=self.settings, now=now, decision_time=decision_time)
        self.lake.upsert(FORECASTS, rows)
        return rows


_SERVE = """
import sys
from pathlib import Path
from eth_pipeline.contracts.clock import FixedClock, parse_instant
from eth_pipeline.serving.server import InferenceServer
from eth_pipeline.settings import load_settings

server = InferenceServer(load_settings(), clock=FixedClock(parse_instant(sys.argv[1])), port=int(sys.argv[2]))
server.serve_forever(lambda started: print(started.url, flush=True))
"""


@contextmanager
def service_process(
    settings: Settings, *, now: datetime, port: int = 0, token_file: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service of a home in a process of its own: the process and its URL; killed on the way out."""
    environment = {
        **os.environ,
        "ETH_PIPELINE_HOME": str(settings.home),
        "ETH_PIPELINE_BASE_INTERVAL": settings.base_interval,
        "ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]',
        **({"ETH_PIPELINE_INFERENCE__TOKEN_FILE": str(token_file)} if token_file else {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, iso(now), str(port)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, f"the service ended with exit code {process.wait()}"
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
