"""What a training run shows in MLflow: the report's figures and the data versions as flat names.

Belongs here: names and values. Does not belong: MLflow (`registry.mlflow_store`); the whole report with importance
and coverage per feature is in the bundle's `metrics.json`.
"""

import math

from eth_pipeline.contracts.artifact import DataVersions
from eth_pipeline.models.figures.report import Estimate, EvaluationReport


def report_metrics(report: EvaluationReport) -> dict[str, float]:
    """Metric name to finite value, for example `auc_5h_low`; figures that could not be computed are left out."""
    figures: dict[str, float | None] = {
        "oof_rows": float(report.oof_rows),
        "folds": float(report.folds),
        "tries": float(report.tries),
        "validation_auc": report.validation_auc,
        "test_auc": report.test_auc,
        "oof_auc": report.oof_auc,
        "coverage_mean": report.coverage_mean,
        "coverage_core": report.coverage_core,
        "onnx_max_abs_difference": report.parity.max_abs_difference,
        "onnx_p50_milliseconds": report.parity.p50_milliseconds,
    }
    for horizon in report.horizons:
        suffix = f"{horizon.horizon_hours}h"
        figures |= _estimate(f"auc_{suffix}", horizon.auc)
        figures |= _estimate(f"auc_volatility_{suffix}", horizon.auc_volatility)
        figures |= _estimate(f"auc_minus_volatility_{suffix}", horizon.auc_minus_volatility)
        figures |= _estimate(f"net_bps_per_trade_{suffix}", horizon.net_bps_per_trade)
        figures |= {
            f"trades_{suffix}": float(horizon.trades),
            f"log_loss_{suffix}": horizon.log_loss,
            f"log_loss_constant_{suffix}": horizon.log_loss_constant,
            f"calibration_error_{suffix}": horizon.calibration_error,
        }
    return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}


def data_params(data: DataVersions) -> dict[str, str]:
    """Parameter name to text: the exact tables, span and matrix the candidate was trained on."""
    span = {
        "data_digest": data.digest,
        "data_first_decision_time": data.first_decision_time.isoformat(),
        "data_last_decision_time": data.last_decision_time.isoformat(),
    }
    tables = {f"lake_version_{name}": str(version) for name, version in data.versions.items()}
    return span | tables


def _estimate(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
