"""Makers of reports, contracts and signed bundles for the registry tests.

Belongs here: small, valid, real values that a test then bends in one place. Does not belong: assertions.
"""

import shutil
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eth_pipeline.contracts.artifact import (
    DataVersions,
    FeatureInput,
    HorizonModel,
    PromotionDecision,
    Provenance,
    RuntimeContract,
    feature_schema_digest,
)
from eth_pipeline.models.figures.report import (
    CostLabelFigures,
    Decile,
    Estimate,
    EvaluationReport,
    HorizonReport,
    NetPnl,
    ParityReport,
    YearFigures,
)
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.registry.bundles.bundle import Expectations, attach_decision, fingerprint, write_bundle
from eth_pipeline.registry.bundles.signing import create_key_pair
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.settings import GateSettings, Phase
from eth_pipeline_tests.shared_folder import shared_folder

NOW = datetime(2025, 6, 29, 12, tzinfo=UTC)
FEATURES = ("return_1h", "volatility_20h")
SCHEMA = feature_schema_digest(FEATURES, base_interval="1h", definition_version="1")


def around(value: float, *, half_width: float) -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(value=value, low=value - half_width, high=value + half_width)


def horizon(hours: int, **changes: Any) -> HorizonReport:
    """A horizon with clear, believable skill that pays after costs."""
    fields: dict[str, Any] = {
        "horizon_hours": hours,
        "rows": 20_000,
        "auc": around(0.55, half_width=0.01),
        "auc_volatility": around(0.505, half_width=0.01),
        "auc_minus_volatility": around(0.045, half_width=0.01),
        "auc_large_moves": around(0.56, half_width=0.015),
        "auc_one_hour_late": around(0.54, half_width=0.01),
        "auc_by_year": {"2024": 0.55, "2025": 0.55},
        "by_year": dict.fromkeys(
            ("2024", "2025"),
            YearFigures(rows=8_000, auc=around(0.55, half_width=0.02), auc_cost_label=around(0.56, half_width=0.02)),
        ),
        "cost_label": CostLabelFigures(
            cost_bps=14.0,
            paying_share=0.8,
            auc=around(0.555, half_width=0.012),
            auc_volatility=around(0.505, half_width=0.012),
            auc_minus_volatility=around(0.05, half_width=0.012),
            auc_long_pays=around(0.54, half_width=0.012),
            auc_long_pays_volatility=around(0.53, half_width=0.012),
            auc_short_pays=around(0.54, half_width=0.012),
            auc_short_pays_volatility=around(0.53, half_width=0.012),
        ),
        "log_loss": 0.688,
        "log_loss_constant": 0.693,
        "log_loss_minus_constant": around(-0.005, half_width=0.002),
        "calibration_error": 0.01,
        "calibration_bias": around(0.0, half_width=0.01),
        "deciles": tuple(
            Decile(
                rows=2_000,
                probability=0.41 + 0.02 * number,
                up_share=around(0.41 + 0.02 * number, half_width=0.02),
                mean_return_bps=around(2.0 * number - 9.0, half_width=6.0),
            )
            for number in range(10)
        ),
        "decile_spread_bps": around(18.0, half_width=6.0),
        "net_bps_per_trade": around(9.0, half_width=5.0),
        "trades": 900,
        "pnl": NetPnl(
            days=840,
            sharpe=around(1.4, half_width=1.0),
            annual_return_bps=around(700.0, half_width=500.0),
            turnover_per_day=0.4,
            sharpe_per_week=0.194,
            skewness=-0.2,
            kurtosis=5.0,
            deflated_sharpe=0.98,
            tries_sharpe_variance=None,
            overfitting_probability=None,
            tries_compared=1,
        ),
    }
    return HorizonReport(**{**fields, **changes})


def report(*, horizons: tuple[HorizonReport, ...] | None = None, **changes: Any) -> EvaluationReport:
    """A report that passes every gate of both phases; `changes` bend it."""
    fields: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "algorithm": "lightgbm",
        "provenance": "binance",
        "first_decision_time": NOW - timedelta(days=900),
        "last_decision_time": NOW - timedelta(days=1),
        "oof_rows": 20_000,
        "folds": 8,
        "tries": 1,
        "horizons": horizons or (horizon(5), horizon(12), horizon(24)),
        "validation_auc": 0.552,
        "test_auc": 0.545,
        "oof_auc": 0.55,
        "coverage_mean": 0.99,
        "coverage_core": 0.97,
        "coverage_by_feature": dict.fromkeys(FEATURES, 0.99),
        "importance": dict.fromkeys(FEATURES, 0.5),
        "parity": ParityReport(
            rows=2_000,
            rows_at_thresholds=500,
            max_abs_difference=3e-7,
            tolerance=1e-5,
            passed=True,
            p50_milliseconds=0.3,
        ),
        "verdict": "Better than volatility alone, and it pays after costs.",
    }
    return EvaluationReport(**{**fields, **changes})


def contract(**changes: Any) -> RuntimeContract:
    """The runtime contract of a bundle with two models."""
    model = {
        "algorithm": "lightgbm",
        "input_name": "features",
        "output_name": "probability",
        "long_threshold": 0.53,
        "short_threshold": 0.47,
    }
    fields: dict[str, Any] = {
        "symbol": "ETHUSDT",
        "base_interval": "1h",
        "created_at": NOW - timedelta(hours=1),
        "expires_at": NOW + timedelta(days=45),
        "trained_until": NOW - timedelta(days=1),
        "provenance": "binance",
        "code_commit": "0123456789abcdef",
        "lock_digest": "f" * 64,
        "feature_schema": SCHEMA,
        "inputs": tuple(FeatureInput(name=name) for name in FEATURES),
        "models": tuple(
            HorizonModel(horizon_hours=hours, file=f"lightgbm_{hours}h.onnx", **model) for hours in (5, 12)
        ),
        "opset": 17,
    }
    return RuntimeContract(**{**fields, **changes})


@lru_cache
def tiny_model(content: bytes, *, inputs: int = len(FEATURES), opset: int = 17) -> bytes:
    """A real, small ONNX model, sigmoid(features @ weights + bias), whose weights are drawn from `content`."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(list(content)).normal(size=(inputs, 1)).astype(np.float32)
    graph = helper.make_graph(
        nodes=[
            helper.make_node("Gemm", ["features", "weights", "bias"], ["score"]),
            helper.make_node("Sigmoid", ["score"], ["column"]),
            helper.make_node("Reshape", ["column", "flat"], ["probability"]),
        ],
        name="tiny",
        inputs=[helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", inputs])],
        outputs=[helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])],
        initializer=[
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.zeros(1, dtype=np.float32), "bias"),
            numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made.SerializeToString(deterministic=True))


def data_versions() -> DataVersions:
    """The lake versions a candidate was trained on."""
    return DataVersions(
        lake="lake",
        versions={"features": 3, "labels": 2},
        rows={"features": 20_000, "labels": 20_000},
        first_decision_time=NOW - timedelta(days=900),
        last_decision_time=NOW - timedelta(days=1),
        digest="a" * 64,
    )


def candidate(
    folder: Path, *, provenance: Provenance = "binance", content: bytes = b"model", **changes: Any
) -> EvaluationReport:
    """Write an undecided bundle whose models differ by `content` and return its report; `changes` bend the contract."""
    figures = report(provenance=provenance)
    made = contract(provenance=provenance, **changes)
    models = {model.file: tiny_model(content + model.file.encode()) for model in made.models}
    write_bundle(folder, contract=made, models=models, report=figures, data=data_versions())
    return figures


def decision(
    folder: Path, figures: EvaluationReport, *, phase: Phase = "paper", decided_at: datetime = NOW
) -> PromotionDecision:
    """The real decision about the bundle in `folder`."""
    return decide(
        figures,
        phase=phase,
        settings=GateSettings(),
        candidate_fingerprint=fingerprint(folder),
        champion_fingerprint=None,
        champion_comparison=None,
        decided_at=decided_at,
    )


def promoted(folder: Path, keys: Path, *, phase: Phase = "paper", **changes: Any) -> PromotionDecision:
    """Write, decide and sign a bundle with the key pair in `keys`; `changes` as for `candidate`."""
    made = decision(folder, candidate(folder, **changes), phase=phase)
    attach_decision(folder, made, private_key=keys / "bundle.key")
    return made


def key_pair(folder: Path) -> Path:
    """Create `bundle.key` and `bundle.pub` in `folder`."""
    create_key_pair(private_key=folder / "bundle.key", public_key=folder / "bundle.pub")
    return folder


def expected(keys: Path, *, phase: Phase = "paper", now: datetime = NOW) -> Expectations:
    """What the running system demands of a bundle signed with the keys in `keys`."""
    return {
        "public_keys": (keys / "bundle.pub",),
        "phase": phase,
        "now": now,
        "feature_schema": SCHEMA,
        "base_interval": "1h",
        "symbol": "ETHUSDT",
    }


def registry_folder(factory: pytest.TempPathFactory) -> Path:
    """A new folder with an empty `mlflow.db`.

    Creating its tables takes seconds, so it is done once for all test processes of this run and then copied.
    """
    shared = shared_folder(factory)
    template = shared / "mlflow-template" / "mlflow.db"
    with exclusive(shared / "mlflow-template.lock"):
        if not template.exists():
            unfinished = template.with_name("unfinished.db")
            RegistryStore(f"sqlite:///{unfinished}", artifact_root=shared).tries()
            unfinished.rename(template)
    folder = factory.mktemp("registry")
    shutil.copyfile(template, folder / "mlflow.db")
    return folder
