"""LightGBM quantile regression of one return: a booster per level, its forecast and its export.

Belongs here: parameters, fitting, the ONNX graph's rows of proof, the arithmetic of conformal offsets. Does not
belong: folds and which rows an offset may read (`models.sizing.quantile`), figures (`models.figures.sizing_report`).

What is learnt is the forward return divided by recent volatility, a feature known at the decision: most of the
spread of a return is the volatility of its day, and trees that need not rediscover it lose less at every level.
The graph multiplies back. A row without volatility has no forecast: it teaches nothing and is answered NaN.

Source: Koenker and Bassett (1978), regression quantiles; Romano, Patterson, Candes (2019), theorem 2, offsets.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.parity import probe_rows
from eth_pipeline.models.trees.onnx_export import export_quantile_trees

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
PARITY_TOLERANCE = 1e-6
"""Log return: a hundredth of a basis point."""
MIN_CONFORMAL_ROWS = 500


@dataclass(frozen=True)
class QuantileParameters:
    """Everything that changes the quantiles, besides the data and the seed.

    Attributes:
        levels: of the quantiles, ascending, symmetric around 0.5.
        leaves: leaves per tree.
        min_rows_per_leaf: rows each leaf must hold.
        feature_share: share of the features each tree may use.
        learning_rate: weight of one tree.
        rounds: trees per level.
        max_bins: histogram bins per feature.
        threads: training threads; the result does not depend on it.
    """

    levels: tuple[float, ...] = LEVELS
    leaves: int = 15
    min_rows_per_leaf: int = 400
    feature_share: float = 0.2
    learning_rate: float = 0.03
    rounds: int = 80
    max_bins: int = 63
    threads: int = 2

    def native(self, *, seed: int) -> dict[str, Any]:
        """LightGBM's own names, all levels alike."""
        return {
            "objective": "quantile",
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows_per_leaf,
            "feature_fraction": self.feature_share,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bins,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.threads,
            "seed": seed,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class FittedQuantiles:
    """One horizon: a booster per level, and the volatility they answer in units of.

    Attributes:
        boosters: in the order of the levels.
        volatility_index: feature column.
        volatility_floor: smallest volatility learnt from; a quieter hour is answered as if it were this.
    """

    boosters: tuple[Any, ...]
    volatility_index: int
    volatility_floor: float

    def forecast(self, features: Matrix) -> Floats:
        """Quantiles of the log return without offsets, float64 [rows, levels]; NaN where volatility is missing."""
        scaled = np.column_stack([booster.predict(features) for booster in self.boosters])
        volatility = features[:, self.volatility_index].astype(np.float64)
        return scaled * np.maximum(volatility, self.volatility_floor)[:, None]

    def to_onnx(self) -> OnnxModel:
        """The same answers from one graph, float32 [rows, levels]."""
        return export_quantile_trees(
            [booster.dump_model() for booster in self.boosters],
            feature_count=self.boosters[0].num_feature(),
            volatility_index=self.volatility_index,
            volatility_floor=self.volatility_floor,
        )

    def probes(self, sample: Matrix, *, seed: int) -> Probes:
        """Real rows, holes, extremes and thresholds; a volatility no market has is replaced, for it hides the trees."""
        probes = probe_rows(sample, [booster.dump_model() for booster in self.boosters], seed=seed)
        volatility, known = probes.matrix[:, self.volatility_index], sample[:, self.volatility_index]
        believable = (volatility >= 0) & (volatility <= np.nanmax(known))
        probes.matrix[~believable, self.volatility_index] = np.nanmedian(known)
        return Probes(probes.matrix, at_thresholds=probes.at_thresholds, tolerance=PARITY_TOLERANCE)


def with_volatility(rows: Rows, volatility: Floats) -> Rows:
    """Those of `rows` that know their volatility; a return cannot be divided by nothing."""
    return rows[volatility[rows] > 0]


def fit_quantiles(
    data: TrainingSet,
    rows: Mapping[int, Rows],
    *,
    parameters: QuantileParameters,
    volatility_feature: str,
    seed: int,
) -> dict[int, FittedQuantiles]:
    """Fit every level of every horizon on `rows`; rows without label or volatility must not be among them."""
    from lightgbm import Booster, Dataset

    if not rows:
        return {}
    union = np.unique(np.concatenate(list(rows.values())))
    native = parameters.native(seed=seed)
    binned = Dataset(data.features[union], label=np.zeros(len(union)), params=native).construct()
    volatility = data.column(volatility_feature)
    fitted = {}
    for horizon, used in rows.items():
        train = binned.subset(np.searchsorted(union, used).tolist()).construct()
        train.set_label(data.targets[horizon].forward_return[used] / volatility[used])
        boosters = tuple(Booster({**native, "alpha": level}, train_set=train) for level in parameters.levels)
        for booster in boosters:
            for _ in range(parameters.rounds):
                booster.update()
        index = data.feature_names.index(volatility_feature)
        fitted[horizon] = FittedQuantiles(boosters, index, float(volatility[used].min()))
    return fitted


def conformal_offsets(forecast: Floats, outcome: Floats, *, levels: tuple[float, ...]) -> Floats:
    """What to add to each level so that it would have held on rows that did not teach it.

    Below the median the offset guards against outcomes below the forecast, from the median on against outcomes
    above it, each with the finite-sample rank ceil((n + 1) * confidence).

    Args:
        forecast: quantiles of held-out rows [rows, levels], before sorting.
        outcome: what happened [rows].
        levels: of the columns.

    Returns:
        float64 [levels]; zeros below 500 rows.
    """
    if len(outcome) < MIN_CONFORMAL_ROWS:
        return np.zeros(len(levels))
    found = []
    for level, column in zip(levels, forecast.T, strict=True):
        sign, confidence = (1.0, level) if level >= 0.5 else (-1.0, 1 - level)
        rank = min(math.ceil((len(outcome) + 1) * confidence), len(outcome))
        found.append(sign * float(np.partition(sign * (outcome - column), rank - 1)[rank - 1]))
    return np.array(found)
