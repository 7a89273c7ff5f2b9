"""Is the bundle what will run: sound files, the same answers from two runtimes, fast enough for the hourly run.

Belongs here: the questions to a finished bundle, on real rows. Does not belong: the proof at export, against the model
it came from (`models.parity`); signatures and decisions (`registry.bundles.verification`).

The second runtime is ONNX's own reference evaluator, which shares no kernel with ONNX Runtime. It is slow, so it sees
few rows; the export's proof saw thousands.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.contracts.artifact import MODELS, RuntimeContract
from eth_pipeline.errors import ModelRefused
from eth_pipeline.registry.bundles.onnx_graph import (
    Expected,
    expected_of,
    require_fitting_session,
    require_sound_models,
)
from eth_pipeline.signals.forecasting.onnx_inputs import InputLayout, OnnxInputs, onnx_inputs

MOST_MILLISECONDS = 500.0
"""All models of one hour, 95th percentile; the hourly run has seconds, and other hosts are slower than a node."""
REFERENCE_ROWS = 2
_TOLERANCE = 1e-4
_LATENCY_RUNS = 50


@dataclass(frozen=True)
class FileCheck:
    """One model file: largest difference between the two runtimes, and what one row takes."""

    file: str
    outputs: int
    max_abs_difference: float
    p50_milliseconds: float


@dataclass(frozen=True)
class BundleCheck:
    """The whole bundle; times are of all files together."""

    files: tuple[FileCheck, ...]
    hours: int
    p50_milliseconds: float
    p95_milliseconds: float


def check_bundle(folder: Path, contract: RuntimeContract, rows: pl.DataFrame) -> BundleCheck:
    """Ask every model file of a bundle about the newest hours.

    Args:
        folder: of the bundle.
        contract: of the bundle.
        rows: newest feature rows, oldest first; `contract.window_hours` + 1 of them at least.

    Raises:
        ModelRefused: a file is unsound, the runtimes differ, an answer is not finite, or it is too slow.
    """
    require_sound_models(folder, contract)
    hours = [rows[: rows.height - back].tail(contract.window_hours) for back in range(REFERENCE_ROWS)]
    layout = InputLayout.of(contract)
    inputs = [onnx_inputs(hour, layout) for hour in hours]
    sessions = {file: _session(folder / MODELS / file) for file in contract.files}
    asked = {file: [e for e in expected_of(contract) if e.file == file] for file in contract.files}
    checked, times = [], []
    for file, session in sessions.items():
        worst = _difference(folder / MODELS / file, session, asked[file], inputs, width=len(contract.inputs))
        taken = _latencies(session, asked[file], inputs[0])
        times.append(taken)
        checked.append(FileCheck(file, len(asked[file]), worst, float(np.median(taken))))
    together = np.sum(times, axis=0)
    p95 = float(np.percentile(together, 95))
    if p95 > MOST_MILLISECONDS:
        raise ModelRefused(
            f"One hour takes {p95:.0f} ms for all models (95th percentile); {MOST_MILLISECONDS:g} ms are allowed. "
            "Train smaller models, or repeat on an idle host."
        )
    return BundleCheck(tuple(checked), len(hours), float(np.median(together)), p95)


def _difference(path: Path, session: Any, asked: list[Expected], inputs: list[OnnxInputs], *, width: int) -> float:
    """Largest difference between ONNX Runtime and the reference evaluator over outputs and hours."""
    from onnx.reference import ReferenceEvaluator

    reference, worst = ReferenceEvaluator(str(path)), 0.0
    for expected in asked:
        require_fitting_session(session, expected, inputs=width)
        for hour in inputs:
            features = hour.row if expected.window_hours == 1 else hour.shaped(expected.window_hours)
            if features is None:
                continue
            (ours,) = session.run([expected.output_name], {expected.input_name: features})
            (theirs,) = reference.run([expected.output_name], {expected.input_name: features})
            ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
            difference = float(np.abs(ours - theirs).max()) if np.isfinite(theirs).all() else 0.0
            finite = np.array_equal(np.isfinite(ours), np.isfinite(theirs))
            if ours.shape != theirs.shape or not finite or difference > _TOLERANCE:
                raise ModelRefused(
                    f"{path.name} answers {ours.reshape(-1)[:4].tolist()} in ONNX Runtime and "
                    f"{theirs.reshape(-1)[:4].tolist()} in ONNX's reference evaluator. Do not promote it; correct the "
                    "export or the runtime's version."
                )
            worst = max(worst, difference)
    return worst


def _latencies(session: Any, asked: list[Expected], hour: OnnxInputs) -> list[float]:
    """Milliseconds of one hour, all outputs of the file, again and again."""
    taken = []
    windows = {e: hour.row if e.window_hours == 1 else hour.shaped(e.window_hours) for e in asked}
    for _ in range(_LATENCY_RUNS):
        started = time.perf_counter()
        for expected, features in windows.items():
            if features is not None:
                session.run([expected.output_name], {expected.input_name: features})
        taken.append((time.perf_counter() - started) * 1e3)
    return taken


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
