"""Proof that an exported model is the model it came from, on the rows where exports break.

Belongs here: probe rows, the comparison, the latency of one row. Does not belong: building the graph
(`models.trees.onnx_export`).

Random rows prove little: a threshold moved by one float32 step changes nothing until a value lies exactly
there. So for every split of every tree a row is built that reaches that split, with the split's feature on
the float32 threshold, one step above and one step below; further rows are missing in part or in full, extreme
or infinite. Only the thresholds' neighbourhood comes from the dump; the answers come from LightGBM and ONNX.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eth_pipeline.errors import ParityFailed
from eth_pipeline.models.dataset import Floats, Matrix
from eth_pipeline.models.figures.report import ParityReport
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.tree_splits import exported_threshold

TOLERANCE = 1e-5
RANDOM_ROWS = 2_000
_LATENCY_RUNS = 300
_INF = np.float32(np.inf)


def probe_rows(sample: Matrix, dumps: Sequence[dict[str, Any]], *, seed: int) -> Probes:
    """Build probe rows around real ones.

    Args:
        sample: real feature rows [some, features], at least one.
        dumps: `Booster.dump_model()` of every member of one horizon.
        seed: of the row choice.
    """
    random = np.random.default_rng(seed)
    real = sample[random.integers(len(sample), size=RANDOM_ROWS)]
    holed = np.where(random.random(real.shape) < 0.3, np.float32(np.nan), real)
    shuffled = random.permuted(real, axis=0)
    width = sample.shape[1]
    extremes = [0.0, -0.0, 1e-40, 1e-35, -1e-35, 1.0, -1.0, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan]
    flat = np.repeat(np.array(extremes, dtype=np.float32)[:, None], width, axis=1)
    mixed = random.choice(np.array(extremes, dtype=np.float32), size=(200, width))
    paths = [path for dump in dumps for tree in dump["tree_info"] for path in _paths(tree["tree_structure"], {})]
    at_thresholds = _edge_rows(paths, sample[random.integers(len(sample), size=len(paths))])
    matrix = np.concatenate([real, holed, shuffled, flat, mixed, at_thresholds])
    return Probes(matrix, at_thresholds=len(at_thresholds), tolerance=TOLERANCE)


def check_parity(
    exports: Mapping[int, OnnxModel],
    reference: Callable[[Matrix, int], Floats],
    probes: Mapping[int, Probes],
) -> ParityReport:
    """Compare every horizon's export with its source.

    Args:
        exports: horizon to ONNX model.
        reference: (rows, horizon) to raw probability, from the training library.
        probes: horizon to probe rows, with the largest allowed absolute difference in probability.

    Raises:
        ParityFailed: a difference exceeds the tolerance; nothing may be bundled.
    """
    sessions = {horizon: (_session(model), model) for horizon, model in exports.items()}
    worst = 0.0
    for horizon, (session, model) in sessions.items():
        rows, tolerance = probes[horizon].matrix, probes[horizon].tolerance
        answered = session.run([model.output_name], {model.input_name: rows})[0]
        expected = reference(rows, horizon)
        difference = np.abs(answered.astype(np.float64) - expected)
        if answered.shape != expected.shape or not difference.max() <= tolerance:
            row = int(np.nanargmax(difference)) if np.isfinite(difference).any() else 0
            raise ParityFailed(
                f"The {horizon} h export differs from its model by {difference.max():.2e} (tolerance {tolerance:.0e}), "
                f"in {int((difference > tolerance).sum())} of {len(rows)} probe rows, worst in row {row}. "
                "Do not bundle it; correct the export."
            )
        worst = max(worst, float(difference.max()))
    one = {horizon: probes[horizon].matrix[:1] for horizon in exports}
    return ParityReport(
        rows=sum(len(p.matrix) for p in probes.values()),
        rows_at_thresholds=sum(p.at_thresholds for p in probes.values()),
        max_abs_difference=worst,
        tolerance=max(p.tolerance for p in probes.values()),
        passed=True,
        p50_milliseconds=_p50_milliseconds(sessions, one),
    )


def _session(model: OnnxModel) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(model.onnx, options, providers=["CPUExecutionProvider"])


def _p50_milliseconds(sessions: Mapping[int, tuple[Any, OnnxModel]], rows: Mapping[int, Matrix]) -> float:
    taken = []
    for _ in range(_LATENCY_RUNS):
        started = time.perf_counter()
        for horizon, (session, model) in sessions.items():
            session.run([model.output_name], {model.input_name: rows[horizon]})
        taken.append(time.perf_counter() - started)
    return float(np.median(taken) * 1e3)


@dataclass(frozen=True)
class _Path:
    """One split and the open-closed interval (low, high] every feature above it must lie in to reach it."""

    feature: int
    threshold: np.float32
    bounds: Mapping[int, tuple[np.float32, np.float32]]


def _paths(node: dict[str, Any], bounds: Mapping[int, tuple[np.float32, np.float32]]) -> Iterator[_Path]:
    if "leaf_value" in node:
        return
    feature, threshold = int(node["split_feature"]), np.float32(exported_threshold(float(node["threshold"])))
    yield _Path(feature, threshold, bounds)
    low, high = bounds.get(feature, (-_INF, _INF))
    yield from _paths(node["left_child"], {**bounds, feature: (low, min(high, threshold))})
    yield from _paths(node["right_child"], {**bounds, feature: (max(low, threshold), high)})


def _edge_rows(paths: Sequence[_Path], rows: Matrix) -> Matrix:
    """Four rows [4 * paths, width] per path, each made of one of `rows`: on the threshold, above, below and missing."""
    bounds = [(number, feature, *ends) for number, path in enumerate(paths) for feature, ends in path.bounds.items()]
    if bounds:
        numbers, features, low, high = map(np.array, zip(*bounds, strict=True))
        rows[numbers, features] = _inside(low, high)
    thresholds = np.array([path.threshold for path in paths], dtype=np.float32)
    above, below = (np.nextafter(thresholds, toward) for toward in (_INF, -_INF))
    edges = np.repeat(rows, 4, axis=0)
    split_features = np.repeat(np.array([path.feature for path in paths], dtype=np.intp), 4)
    values = np.stack([thresholds, above, below, np.full_like(thresholds, np.nan)], axis=1)
    edges[np.arange(len(edges)), split_features] = values.ravel()
    return edges


def _inside(low: Matrix, high: Matrix) -> Matrix:
    """A value of each open-closed interval; right of the split `<= infinity` are only missing values."""
    right_of_low = np.where(np.isfinite(low), np.nextafter(low, _INF), np.float32(0.0))
    return np.where(np.isfinite(high), high, np.where(np.isposinf(low), np.float32(np.nan), right_of_low))
