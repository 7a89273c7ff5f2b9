"""Calibrated probabilities from the verified production bundle, by ONNX Runtime.

Belongs here: one forecast of one feature row. Does not belong: verifying the bundle (`registry.bundle`), what a
probability does to the action (`decision`).
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eth_pipeline.contracts.artifact import MODELS, HorizonModel, RuntimeContract, expired
from eth_pipeline.contracts.clock import iso
from eth_pipeline.errors import BundleExpired, BundleRefused, SchemaMismatch
from eth_pipeline.registry.bundle import VerifiedBundle

_LOGIT_EDGE = 1e-7


@dataclass(frozen=True)
class ModelInfo:
    """Which model forecasts: registry version, fingerprint of the bundle, its runtime contract."""

    version: str | None
    fingerprint: str
    contract: RuntimeContract


@dataclass(frozen=True)
class Forecast:
    """Probabilities of up per horizon in hours, for one feature row.

    Attributes:
        probabilities: after Platt calibration.
        raw: as the model answered.
        coverage: share of the inputs that were not missing.
        out_of_bounds_share: share of the present inputs outside the training rows' 0.1 to 99.9 percentile.
        seconds: what it took, all horizons together.
    """

    probabilities: Mapping[int, float]
    raw: Mapping[int, float]
    coverage: float
    out_of_bounds_share: float
    seconds: float


class BundleForecaster:
    """ONNX sessions of one verified bundle, one thread each.

    Args:
        bundle: as `registry.bundle` verified it.
        version: its registry version, for the record.
    """

    def __init__(self, bundle: VerifiedBundle, *, version: str | None) -> None:
        contract = bundle.contract
        self.info = ModelInfo(version=version, fingerprint=bundle.fingerprint, contract=contract)
        self._sessions = {model.horizon_hours: _open_session(bundle.folder, model) for model in contract.models}
        self._names = [item.name for item in contract.inputs]
        self._lower = np.array([-np.inf if i.lower is None else i.lower for i in contract.inputs], dtype=np.float32)
        self._upper = np.array([np.inf if i.upper is None else i.upper for i in contract.inputs], dtype=np.float32)

    def forecast(self, row: pl.DataFrame, *, now: datetime) -> Forecast:
        """Forecast one row of the features table.

        Args:
            row: exactly one row; columns beyond the contract's inputs are ignored, nulls become NaN.
            now: exchange time; the expiry is checked on every call, a process may outlive its bundle.

        Raises:
            BundleExpired: `now` has reached the expiry.
            SchemaMismatch: not one row, or an input column is missing.
            BundleRefused: the model answered something that is no probability.
        """
        contract = self.info.contract
        if expired(contract, now=now):
            raise BundleExpired(
                f"The bundle {self.info.fingerprint[:12]} expired at {iso(contract.expires_at)} and it is {iso(now)}. "
                "Train and promote a new one, or roll back to one that is still valid."
            )
        started = time.perf_counter()
        inputs = self._inputs(row)
        raw = {model.horizon_hours: self._answer(model, inputs) for model in contract.models}
        present = np.isfinite(inputs)
        outside = ((inputs < self._lower) | (inputs > self._upper)) & present
        return Forecast(
            probabilities={
                model.horizon_hours: calibrate(raw[model.horizon_hours], model) for model in contract.models
            },
            raw=raw,
            coverage=float(present.mean()),
            out_of_bounds_share=float(outside.sum() / max(int(present.sum()), 1)),
            seconds=time.perf_counter() - started,
        )

    def _inputs(self, row: pl.DataFrame) -> NDArray[np.float32]:
        missing = [name for name in self._names if name not in row.columns]
        if missing or row.height != 1:
            raise SchemaMismatch(
                f"The bundle needs one row of {len(self._names)} features and got {row.height} rows, without "
                f"{missing[:5]}. It was trained with other feature code: train again, or run the code it names "
                f"({self.info.contract.code_commit})."
            )
        values = row.select(pl.col(name).cast(pl.Float32) for name in self._names).to_numpy()
        return np.where(np.isfinite(values), values, np.nan).astype(np.float32)

    def _answer(self, model: HorizonModel, inputs: NDArray[np.float32]) -> float:
        (answer,) = self._sessions[model.horizon_hours].run([model.output_name], {model.input_name: inputs})
        values = np.asarray(answer, dtype=np.float64).reshape(-1)
        if values.size != 1 or not 0.0 <= values[0] <= 1.0:
            raise BundleRefused(
                f"{model.file} answered {values[:4].tolist()} for one row, which is no probability. Export it again; "
                "until then roll back with `eth-pipeline rollback`."
            )
        return float(values[0])


def calibrate(raw: float, model: HorizonModel) -> float:
    """Platt scaling (Platt 1999): sigmoid(slope * logit(raw) + intercept), with the contract's constants."""
    inside = min(max(raw, _LOGIT_EDGE), 1 - _LOGIT_EDGE)
    score = model.calibration_slope * math.log(inside / (1 - inside)) + model.calibration_intercept
    return 1 / (1 + math.exp(-min(max(score, -700.0), 700.0)))


def _open_session(folder: Path, model: HorizonModel) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = (folder / MODELS / Path(model.file).name).read_bytes()
    try:
        return onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes share no base below Exception
        raise BundleRefused(
            f"{model.file} is signed, and no model that ONNX Runtime can open: {error}. Export and promote it again; "
            "until then roll back with `eth-pipeline rollback`."
        ) from error
