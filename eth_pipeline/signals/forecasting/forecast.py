"""Calibrated probabilities, quantiles and regime from the verified production bundle, by ONNX Runtime.

Belongs here: one forecast of one decision hour. Does not belong: verifying the bundle (`registry.bundles.bundle`),
arranging its inputs (`onnx_inputs`), what a probability does to the action (`signals.decision`).

A bundle may hold several algorithms. One of them, the primary, acts. The stack of all of them acts instead only where
the promotion decision enabled it and every member answered; the others are recorded beside it and change nothing.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from polars import DataFrame

from eth_pipeline.contracts.artifact import (
    MODELS,
    HorizonModel,
    QuantileModel,
    RegimeModel,
    RuntimeContract,
    StackModel,
    expired,
)
from eth_pipeline.contracts.clock import iso
from eth_pipeline.errors import BundleExpired, BundleRefused
from eth_pipeline.registry.bundles.bundle import VerifiedBundle
from eth_pipeline.signals.forecasting.onnx_inputs import InputLayout, OnnxInputs, onnx_inputs

STACKING = "stacking"
CPU: tuple[str, ...] = ("CPUExecutionProvider",)
_LOGIT_EDGE = 1e-7

Providers = Sequence[str | tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class ModelInfo:
    """Which model forecasts: registry version, fingerprint of the bundle, its runtime contract, the stack's switch."""

    version: str | None
    fingerprint: str
    contract: RuntimeContract
    stacking_enabled: bool = False


@dataclass(frozen=True)
class Forecast:
    """What the bundle said about one hour, per horizon in hours.

    Attributes:
        probabilities: calibrated probability of up that acts.
        raw: the same before calibration; of a stack, its own answer.
        coverage: share of the inputs that were not missing.
        out_of_bounds_share: share of the present inputs outside the training rows' 0.1 to 99.9 percentile.
        seconds: what it took, all models together.
        source: algorithm that acts: the primary's name or `stacking`.
        members: every algorithm's calibrated probabilities, the stack's too where it can be computed.
        quantiles: level to log return, ascending; a horizon is empty where the volatility that scales it is missing.
        regime: state to probability, calmest first; empty without a regime model.
        remote: the inference service answered, not this host.
        fallback_reason: why it did not, where it was asked; None otherwise.
    """

    probabilities: Mapping[int, float]
    raw: Mapping[int, float]
    coverage: float
    out_of_bounds_share: float
    seconds: float
    source: str = "lightgbm"
    members: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    quantiles: Mapping[int, Mapping[float, float]] = field(default_factory=dict)
    regime: Mapping[str, float] = field(default_factory=dict)
    remote: bool = False
    fallback_reason: str | None = None


class BundleForecaster:
    """ONNX sessions of one verified bundle, one thread each.

    Args:
        bundle: as `registry.bundles.bundle` verified it.
        version: its registry version, for the record.
        providers: ONNX Runtime execution providers, the wanted one first.
    """

    def __init__(self, bundle: VerifiedBundle, *, version: str | None, providers: Providers = CPU) -> None:
        contract = bundle.contract
        self.info = ModelInfo(
            version=version,
            fingerprint=bundle.fingerprint,
            contract=contract,
            stacking_enabled=bundle.decision.stacking_enabled,
        )
        self._layout = InputLayout.of(contract)
        self._sessions = {file: _open_session(bundle.folder, file, providers) for file in contract.files}

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers that the sessions really have; ONNX Runtime leaves out one that it cannot start."""
        return tuple(sorted({name for session in self._sessions.values() for name in session.get_providers()}))

    def forecast(self, rows: DataFrame, *, now: datetime) -> Forecast:
        """Forecast one decision hour.

        Args:
            rows: feature rows ending with the decision hour, see `onnx_inputs`.
            now: exchange time; the expiry is checked on every call, a process may outlive its bundle.

        Raises:
            BundleExpired: `now` has reached the expiry.
            SchemaMismatch: an input column is missing, or the rows are not the window the contract asks for.
            BundleRefused: a model answered something that is no probability, or the primary needs a window that
                has too many holes.
        """
        contract = self.info.contract
        if expired(contract, now=now):
            raise BundleExpired(
                f"The bundle {self.info.fingerprint[:12]} expired at {iso(contract.expires_at)} and it is {iso(now)}. "
                "Train and promote a new one, or roll back to one that is still valid."
            )
        started = time.perf_counter()
        inputs = onnx_inputs(rows, self._layout)
        raw = self._raw(inputs)
        members = {
            algorithm: {m.horizon_hours: calibrate(answers[m.horizon_hours], m) for m in self._models(algorithm)}
            for algorithm, answers in raw.items()
        }
        members |= {STACKING: stacked} if (stacked := _stack(contract, members)) else {}
        source = STACKING if self.info.stacking_enabled and stacked else contract.primary_algorithm
        return Forecast(
            probabilities=members[source],
            raw=stacked if source == STACKING else raw[source],
            coverage=inputs.coverage,
            out_of_bounds_share=inputs.out_of_bounds_share,
            source=source,
            members=members,
            quantiles={model.horizon_hours: self._quantiles(model, inputs) for model in contract.quantiles},
            regime=self._regime(contract.regime, inputs) if contract.regime else {},
            seconds=time.perf_counter() - started,
        )

    def _models(self, algorithm: str) -> list[HorizonModel]:
        return [model for model in self.info.contract.models if model.algorithm == algorithm]

    def _raw(self, inputs: OnnxInputs) -> dict[str, dict[int, float]]:
        """Raw answers by algorithm; an algorithm whose window has too many holes is left out, unless it acts."""
        answers: dict[str, dict[int, float]] = {}
        for model in self.info.contract.models:
            features = inputs.shaped(model.window_hours)
            if features is not None:
                answers.setdefault(model.algorithm, {})[model.horizon_hours] = self._probability(model, features)
        primary = self.info.contract.primary_algorithm
        if primary not in answers:
            raise BundleRefused(
                f"The primary model {primary} reads {self.info.contract.window_hours} hours, and only "
                f"{int(inputs.rows_present.sum())} of them have a feature row. Repair the features (run the `features` "
                "asset over the gap), then materialize `forecast`."
            )
        return answers

    def _run(self, file: str, *, features: NDArray[np.float32], input_name: str, output_name: str) -> Any:
        (answer,) = self._sessions[file].run([output_name], {input_name: features})
        return np.asarray(answer, dtype=np.float64).reshape(-1)

    def _probability(self, model: HorizonModel, features: NDArray[np.float32]) -> float:
        values = self._run(model.file, features=features, input_name=model.input_name, output_name=model.output_name)
        if values.size != 1 or not 0.0 <= values[0] <= 1.0:
            raise BundleRefused(
                f"{model.file} answered {values[:4].tolist()} for one row, which is no probability. Export it again; "
                "until then roll back with `eth-pipeline rollback`."
            )
        return float(values[0])

    def _quantiles(self, model: QuantileModel, inputs: OnnxInputs) -> dict[float, float]:
        values = self._run(model.file, features=inputs.row, input_name=model.input_name, output_name=model.output_name)
        if values.size == len(model.levels) and not np.isfinite(values).all():
            return {}  # the volatility that scales them is missing: no quantiles, so nothing is sized by them
        if values.size != len(model.levels):
            raise BundleRefused(
                f"{model.file} answered {values[:9].tolist()} for the levels {model.levels}. Export it again; until "
                "then roll back with `eth-pipeline rollback`."
            )
        return dict(zip(model.levels, map(float, np.sort(values + np.array(model.offsets))), strict=True))

    def _regime(self, model: RegimeModel, inputs: OnnxInputs) -> dict[str, float]:
        values = self._run(model.file, features=inputs.row, input_name=model.input_name, output_name=model.output_name)
        if values.size != len(model.states) or not np.isclose(values.sum(), 1.0, atol=1e-3):
            raise BundleRefused(
                f"{model.file} answered {values[:5].tolist()} for the states {model.states}, which are no "
                "probabilities. Export it again; until then roll back with `eth-pipeline rollback`."
            )
        return dict(zip(model.states, map(float, values), strict=True))


def calibrate(raw: float, model: HorizonModel) -> float:
    """Platt scaling (Platt 1999): sigmoid(slope * logit(raw) + intercept), with the contract's constants."""
    return _sigmoid(model.calibration_slope * _logit(raw) + model.calibration_intercept)


def stack_probability(stack: StackModel, members: Mapping[str, float]) -> float:
    """Logistic stack (Wolpert 1992) of calibrated member probabilities of one horizon."""
    weighted = (c * _logit(members[name]) for name, c in zip(stack.algorithms, stack.coefficients, strict=True))
    return _sigmoid(stack.intercept + sum(weighted))


def _stack(contract: RuntimeContract, members: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """The stack's probabilities of all horizons of the primary, or nothing where one cannot be computed."""
    found = {}
    for stack in contract.stacks:
        if all(stack.horizon_hours in members.get(name, {}) for name in stack.algorithms):
            answers = {name: members[name][stack.horizon_hours] for name in stack.algorithms}
            found[stack.horizon_hours] = stack_probability(stack, answers)
    return found if found.keys() == {model.horizon_hours for model in contract.primary_models} else {}


def _logit(probability: float) -> float:
    inside = min(max(probability, _LOGIT_EDGE), 1 - _LOGIT_EDGE)
    return math.log(inside / (1 - inside))


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-min(max(score, -700.0), 700.0)))


def _open_session(folder: Path, file: str, providers: Providers) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = (folder / MODELS / Path(file).name).read_bytes()
    try:
        return onnxruntime.InferenceSession(content, sess_options=options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own classes share no base below Exception
        raise BundleRefused(
            f"{file} is signed, and no model that ONNX Runtime can open: {error}. Export and promote it again; "
            "until then roll back with `eth-pipeline rollback`."
        ) from error
