"""Calm, normal, stressed: a three-state Gaussian mixture of one hour's volatilities, and its ONNX graph.

Belongs here: the fit, the probabilities, the export. Does not belong: folds, how well the states foretell the next day
(`regime`).

The states are those of the decision hour alone: no smoothing over later hours, no filter that must be carried from run
to run. Each begins at one third of the training hours by volatility, so no random start decides which state is which,
and the calmest comes first. Covariances are diagonal: then a missing input drops out of the likelihood exactly, and
with every input missing the answer is the share of the states in training.

Source: McLachlan and Peel (2000), finite mixture models; sklearn.mixture.GaussianMixture does the fit.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import Floats, Mask, Matrix, Rows, TrainingSet
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.onnx_file import INPUT_NAME, OPSET, finished
from eth_pipeline.models.parity import probe_rows

STATES = ("calm", "normal", "stressed")
OUTPUT_NAME = "state_probabilities"
MIN_ROWS = 500
PARITY_TOLERANCE = 1e-4
"""Probability; eight deviations out the float32 terms of a log likelihood reach hundreds."""
_RANGE = (-8.0, 8.0)
_MAX_STEPS = 500
_SMALLEST_VARIANCE = 1e-3


@dataclass(frozen=True)
class RegimeInput:
    """One input of the mixture; a `log` input must be positive, else it counts as missing."""

    feature: str
    log: bool


VOLATILITIES = (RegimeInput("realised_vol_24h", log=True), RegimeInput("realised_vol_168h", log=True))


@dataclass(frozen=True)
class FittedRegime:
    """A fitted mixture over standardised inputs, calmest state first.

    Attributes:
        inputs: first the volatility that orders the states.
        columns: their positions among the features.
        center: mean of each input over the rows learnt from.
        scale: their deviation.
        mixture: sklearn's GaussianMixture with diagonal covariances, states in order.
        feature_count: width of the model input.
    """

    inputs: tuple[RegimeInput, ...]
    columns: tuple[int, ...]
    center: Floats
    scale: Floats
    mixture: Any
    feature_count: int

    def probability_of(self, features: Matrix) -> Floats:
        """Probability of each state, float64 [rows, states], by sklearn; missing inputs are integrated out."""
        scores = self._standardised(features)
        present = np.isfinite(scores)
        found = np.empty((len(features), len(STATES)))
        for pattern in np.unique(present, axis=0):
            rows = (present == pattern).all(axis=1)
            if pattern.any():
                found[rows] = self._marginal(pattern).predict_proba(scores[rows][:, pattern])
            else:
                found[rows] = self.mixture.weights_
        return found

    def to_onnx(self) -> OnnxModel:
        """The same answers from a graph of plain operators, float32 [rows, states]."""
        from onnx import TensorProto, helper, numpy_helper

        means, variances = self.mixture.means_.T, self.mixture.covariances_.T
        constants = {
            "columns": np.array(self.columns, dtype=np.int64),
            "is_log": np.array([item.log for item in self.inputs]),
            "center": self.center.astype(np.float32),
            "scale": self.scale.astype(np.float32),
            "infinity": np.array(np.inf, dtype=np.float32),
            "lowest": np.array(_RANGE[0], dtype=np.float32),
            "highest": np.array(_RANGE[1], dtype=np.float32),
            "zero": np.array(0, dtype=np.float32),
            "square_weights": (-0.5 / variances).astype(np.float32),
            "linear_weights": (means / variances).astype(np.float32),
            "present_weights": (-0.5 * (means**2 / variances + np.log(2 * np.pi * variances))).astype(np.float32),
            "log_shares": np.log(self.mixture.weights_).astype(np.float32),
        }
        steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
            ("Gather", ["features", "columns"], "chosen", {"axis": 1}),
            ("Log", ["chosen"], "logs", {}),
            ("Where", ["is_log", "logs", "chosen"], "inputs", {}),
            ("Sub", ["inputs", "center"], "centered", {}),
            ("Div", ["centered", "scale"], "scores", {}),
            ("Abs", ["inputs"], "sizes", {}),
            ("Less", ["sizes", "infinity"], "is_present", {}),
            ("Clip", ["scores", "lowest", "highest"], "clipped", {}),
            ("Where", ["is_present", "clipped", "zero"], "filled", {}),
            ("Mul", ["filled", "filled"], "squares", {}),
            ("Cast", ["is_present"], "present", {"to": TensorProto.FLOAT}),
            ("MatMul", ["squares", "square_weights"], "square_part", {}),
            ("MatMul", ["filled", "linear_weights"], "linear_part", {}),
            ("MatMul", ["present", "present_weights"], "present_part", {}),
            ("Sum", ["square_part", "linear_part", "present_part", "log_shares"], "log_likelihoods", {}),
            ("Softmax", ["log_likelihoods"], OUTPUT_NAME, {"axis": 1}),
        ]
        graph = helper.make_graph(
            [helper.make_node(operator, inputs, [output], **given) for operator, inputs, output, given in steps],
            "state_of_the_market",
            [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None, self.feature_count])],
            [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [None, len(STATES)])],
            initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        return OnnxModel(finished(graph), INPUT_NAME, OUTPUT_NAME, OPSET)

    def probes(self, sample: Matrix, *, seed: int) -> Probes:
        """Real rows, holes and extremes."""
        return replace(probe_rows(sample, [], seed=seed), tolerance=PARITY_TOLERANCE)

    def _standardised(self, features: Matrix) -> Floats:
        return np.clip((_raw_inputs(features, self.inputs, self.columns) - self.center) / self.scale, *_RANGE)

    def _marginal(self, present: Mask) -> Any:
        """The mixture of the present inputs alone; diagonal covariances make it a selection."""
        from sklearn.mixture import GaussianMixture

        part = GaussianMixture(len(STATES), covariance_type="diag")
        part.weights_ = self.mixture.weights_
        part.means_ = self.mixture.means_[:, present]
        part.covariances_ = self.mixture.covariances_[:, present]
        part.precisions_cholesky_ = self.mixture.precisions_cholesky_[:, present]
        return part


def fit_regime(data: TrainingSet, rows: Rows, *, inputs: tuple[RegimeInput, ...] = VOLATILITIES) -> FittedRegime:
    """Fit the mixture on those of `rows` that have every input; nothing else of `data` is read.

    Raises:
        ContractViolation: an input is no feature, or fewer than 500 rows have all inputs.
    """
    from sklearn.mixture import GaussianMixture

    columns = tuple(_position(data, item) for item in inputs)
    values = _raw_inputs(data.features[rows], inputs, columns)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < MIN_ROWS:
        raise ContractViolation(
            f"Only {len(values)} of {len(rows)} rows have all of {[item.feature for item in inputs]}; the states need "
            f"{MIN_ROWS}. Ingest more history, or name inputs that are there."
        )
    center, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    scores = np.clip((values - center) / scale, *_RANGE)
    thirds = np.array_split(scores[np.argsort(scores[:, 0], kind="stable")], len(STATES))
    mixture = GaussianMixture(
        len(STATES),
        covariance_type="diag",
        reg_covar=_SMALLEST_VARIANCE,
        max_iter=_MAX_STEPS,
        weights_init=np.full(len(STATES), 1 / len(STATES)),
        means_init=np.stack([third.mean(axis=0) for third in thirds]),
        precisions_init=np.stack([1 / (third.var(axis=0) + _SMALLEST_VARIANCE) for third in thirds]),
    ).fit(scores)
    order = np.argsort(mixture.means_[:, 0], kind="stable")
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        setattr(mixture, name, getattr(mixture, name)[order])
    return FittedRegime(inputs, columns, center, scale, mixture, data.features.shape[1])


def _raw_inputs(features: Matrix, inputs: tuple[RegimeInput, ...], columns: tuple[int, ...]) -> Floats:
    """Inputs before standardising, float64 [rows, inputs], NaN where missing or not positive where it must be."""
    values = features[:, columns].astype(np.float64)
    for number, item in enumerate(inputs):
        if item.log:
            values[:, number] = np.log(np.where(values[:, number] > 0, values[:, number], np.nan))
    return np.where(np.isfinite(values), values, np.nan)


def _position(data: TrainingSet, item: RegimeInput) -> int:
    if item.feature not in data.feature_names:
        raise ContractViolation(f"The regime input {item.feature!r} is not in the training set. Name a feature of it.")
    return data.feature_names.index(item.feature)
