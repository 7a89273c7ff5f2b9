"""A forecaster that sees some of the features: the same algorithm, a narrower view, the full input at runtime.

Belongs here: cutting columns before training and gathering them inside the exported graph. Does not belong: any
algorithm. The exported model takes every input of the bundle, so one row serves all models of a bundle.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import FittedForecaster, Forecaster, OnnxModel, Probes


@dataclass(frozen=True)
class FeatureView:
    """`inner` on the features whose names begin with one of `prefixes`.

    Attributes:
        inner: the algorithm.
        name: what bundles and reports call it.
        prefixes: beginnings of feature names.
    """

    inner: Forecaster
    name: str
    prefixes: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        """`name`."""
        return self.name

    def digest(self) -> str:
        """sha256 of the inner digest, the name and the prefixes."""
        return hashlib.sha256("\0".join((self.inner.digest(), self.name, *self.prefixes)).encode()).hexdigest()

    def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> "FittedFeatureView":
        """Fit `inner` on the chosen columns."""
        columns = self._columns(data)
        return FittedFeatureView(self.inner.fit(_narrow(data, columns), folds, seed=seed), columns, data.feature_names)

    def refit(
        self, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
    ) -> "FittedFeatureView":
        """Refit `inner` on the chosen columns."""
        columns = self._columns(data)
        fitted = self.inner.refit(_narrow(data, columns), rows, effort=effort, seed=seed)
        return FittedFeatureView(fitted, columns, data.feature_names)

    def _columns(self, data: TrainingSet) -> Rows:
        """Numbers of the chosen columns, increasing."""
        chosen = np.array([n for n, name in enumerate(data.feature_names) if name.startswith(self.prefixes)], np.int64)
        if not len(chosen):
            raise ContractViolation(
                f"{self.name} looks at features named {', '.join(self.prefixes)}*, and the training set has none. "
                "Configure the cross symbols they belong to, or leave this model out."
            )
        return chosen


@dataclass(frozen=True)
class FittedFeatureView:
    """A fitted inner model with the columns it was given, numbered in the full input."""

    inner: FittedForecaster
    columns: Rows
    feature_names: tuple[str, ...]

    @property
    def window_hours(self) -> int:
        """Of the inner model."""
        return self.inner.window_hours

    @property
    def effort(self) -> Mapping[int, int]:
        """Of the inner model."""
        return self.inner.effort

    def probability(self, data: TrainingSet, rows: Mapping[int, Rows]) -> dict[int, Floats]:
        """Raw probability of up on `rows` of each horizon, float64 [rows]."""
        return self.inner.probability(_narrow(data, self.columns), rows)

    def probability_of(self, features: Matrix, *, horizon_hours: int) -> Floats:
        """Raw probability of up for full-width `features`, float64 [rows]."""
        return self.inner.probability_of(np.ascontiguousarray(features[..., self.columns]), horizon_hours=horizon_hours)

    def probes(self, data: TrainingSet, *, sample: Rows, seed: int) -> dict[int, Probes]:
        """The inner model's probes, put back into full width; columns it does not see are filled with noise."""
        random = np.random.default_rng(seed)
        found = {}
        for horizon, probes in self.inner.probes(_narrow(data, self.columns), sample=sample, seed=seed).items():
            shape = (*probes.matrix.shape[:-1], len(self.feature_names))
            matrix = random.standard_normal(shape, dtype=np.float32)
            matrix[..., self.columns] = probes.matrix
            found[horizon] = replace(probes, matrix=matrix)
        return found

    def importance(self) -> dict[str, float]:
        """Of the inner model; 0 for features it does not see."""
        return dict.fromkeys(self.feature_names, 0.0) | self.inner.importance()

    def to_onnx(self) -> dict[int, OnnxModel]:
        """The inner exports behind a Gather of the chosen columns."""
        return {
            horizon: replace(model, onnx=_behind_gather(model, self.columns, width=len(self.feature_names)))
            for horizon, model in self.inner.to_onnx().items()
        }


def _narrow(data: TrainingSet, columns: Rows) -> TrainingSet:
    names = tuple(data.feature_names[column] for column in columns)
    return replace(data, features=np.ascontiguousarray(data.features[:, columns]), feature_names=names)


def _behind_gather(model: OnnxModel, columns: Rows, *, width: int) -> bytes:
    from onnx import checker, helper, load_from_string, numpy_helper

    graph = load_from_string(model.onnx)
    seen = f"{model.input_name}_seen"
    for node in graph.graph.node:
        node.input[:] = [seen if name == model.input_name else name for name in node.input]
    (full,) = (item for item in graph.graph.input if item.name == model.input_name)
    full.type.tensor_type.shape.dim[-1].dim_value = width
    graph.graph.initializer.append(numpy_helper.from_array(columns, name="seen_columns"))
    graph.graph.node.insert(0, helper.make_node("Gather", [model.input_name, "seen_columns"], [seen], axis=-1))
    checker.check_model(graph)
    return bytes(graph.SerializeToString())
