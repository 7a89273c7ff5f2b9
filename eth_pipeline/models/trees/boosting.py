"""LightGBM behind the Forecaster protocol: one ensemble of boosters per horizon, one binned matrix per fit.

Belongs here: parameters, training, early stopping, raw probabilities. Does not belong: folds, calibration,
export (`onnx_export`).

Missing values stay missing: LightGBM learns a direction for them. All rows weigh the same: with hourly rows
and one horizon the uniqueness weights of overlapping labels are constant away from gaps, and weighting by
the size of the move lowered the AUC in earlier measurements.

A fit of a few thousand rows is some hundred very short calls: a second thread inside them costs more than it
gives, so the walk-forward runs whole fits side by side instead (`side_by_side`). Every call then names one
thread: LightGBM keeps its thread count in one place per process, and boosters that ask for different counts at
the same time would change it under each other.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from eth_pipeline.models.calibration import sigmoid
from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.parity import probe_rows
from eth_pipeline.models.trees.binning import Binned
from eth_pipeline.models.trees.onnx_export import export_trees

_SEED_STEP = 1_000
_SMALL_FIT_ROWS = 10_000


@dataclass(frozen=True)
class BoostingParameters:
    """Everything that changes a boosting model, besides the data and the seed.

    Attributes:
        leaves: leaves per tree.
        min_rows_per_leaf: rows each leaf must hold.
        feature_share: share of the features each tree may use.
        learning_rate: weight of one tree.
        max_rounds: trees at most.
        min_rounds: trees at least; early stopping on a few thousand noisy rows may not cut deeper.
        patience_rounds: rounds without improvement on validation before training ends.
        l2: L2 penalty on leaf values.
        max_bins: histogram bins per feature.
        members: boosters that differ in their seed and are averaged in logits; costs that many times.
        threads: training threads at most, inside one fit or as fits side by side; small fits use one each. The
            result does not depend on it, so it is no part of the digest.
    """

    leaves: int = 15
    min_rows_per_leaf: int = 400
    feature_share: float = 0.3
    learning_rate: float = 0.02
    max_rounds: int = 300
    min_rounds: int = 100
    patience_rounds: int = 50
    l2: float = 1.0
    max_bins: int = 63
    members: int = 1
    threads: int = 2

    def native(self, *, seed: int, rows: int) -> dict[str, Any]:
        """LightGBM's own names, for a fit on `rows` rows.

        Small fits build their histograms column by column, which is faster there and grows the same trees.
        """
        small = rows < _SMALL_FIT_ROWS
        return {
            "objective": "binary",
            "metric": "binary_logloss",
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows_per_leaf,
            "feature_fraction": self.feature_share,
            "learning_rate": self.learning_rate,
            "lambda_l2": self.l2,
            "max_bin": self.max_bins,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_col_wise" if small else "force_row_wise": True,
            "num_threads": 1 if small else self.threads,
            "seed": seed,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class Boosting:
    """LightGBM classifier of the sign of the forward return, one per horizon."""

    parameters: BoostingParameters = BoostingParameters()

    @property
    def algorithm(self) -> str:
        """`lightgbm`."""
        return "lightgbm"

    def digest(self) -> str:
        """sha256 of the parameters that change the model."""
        parameters = {name: value for name, value in asdict(self.parameters).items() if name != "threads"}
        return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()

    def side_by_side(self) -> tuple["Boosting", int]:
        """The same algorithm on one thread, and how many of its fits may run at the same time."""
        return Boosting(replace(self.parameters, threads=1)), self.parameters.threads

    def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> "FittedBoosting":
        """Boost on `train`, keep the round with the best log loss on `validation`, first member only."""
        binned = self._binned(data, {h: fold.learn for h, fold in folds.items()}, seed=seed)
        members: dict[int, tuple[Any, ...]] = {}
        rounds: dict[int, int] = {}
        for horizon, fold in folds.items():
            train, validation = binned.subset(fold.train, horizon), binned.subset(fold.validation, horizon)
            first, rounds[horizon] = self._boost_until_stale(train, validation, seed=seed)
            rest = [self._boost(train, rounds[horizon], seed=self._seed(seed, n)) for n in self._extra_members]
            members[horizon] = (first, *rest)
        return FittedBoosting(members, rounds, data.feature_names, self.parameters.threads)

    def refit(
        self, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
    ) -> "FittedBoosting":
        """Boost on `rows` for `effort` rounds."""
        binned = self._binned(data, rows, seed=seed)
        members: dict[int, tuple[Any, ...]] = {}
        for horizon, used in rows.items():
            train = binned.subset(used, horizon)
            seeds = [seed, *(self._seed(seed, n) for n in self._extra_members)]
            members[horizon] = tuple(self._boost(train, effort[horizon], seed=each) for each in seeds)
        return FittedBoosting(members, dict(effort), data.feature_names, self.parameters.threads)

    def _binned(self, data: TrainingSet, rows: Mapping[int, Rows], *, seed: int) -> Binned:
        union = np.unique(np.concatenate(list(rows.values())))
        return Binned(data, union, self.parameters.native(seed=seed, rows=len(union)))

    @property
    def _extra_members(self) -> range:
        return range(1, self.parameters.members)

    @staticmethod
    def _seed(seed: int, member: int) -> int:
        return seed + _SEED_STEP * member

    def _boost(self, train: Any, rounds: int, *, seed: int) -> Any:
        from lightgbm import Booster

        booster = Booster(self.parameters.native(seed=seed, rows=train.num_data()), train_set=train)
        for _ in range(rounds):
            booster.update()
        return booster

    def _boost_until_stale(self, train: Any, validation: Any, *, seed: int) -> tuple[Any, int]:
        booster = self._boost(train, 0, seed=seed)
        booster.add_valid(validation, "validation")
        best, best_loss = self.parameters.max_rounds, float("inf")
        for done in range(1, self.parameters.max_rounds + 1):
            booster.update()
            if done < self.parameters.min_rounds:
                continue
            loss = booster.eval_valid()[0][2]
            if loss < best_loss:
                best, best_loss = done, loss
            elif done - best >= self.parameters.patience_rounds:
                break
        return booster, best


@dataclass(frozen=True)
class FittedBoosting:
    """Boosters by horizon; probabilities average the members' logits."""

    members: Mapping[int, tuple[Any, ...]]
    rounds: Mapping[int, int]
    feature_names: tuple[str, ...]
    threads: int

    @property
    def effort(self) -> Mapping[int, int]:
        """Trees used, by horizon."""
        return self.rounds

    @property
    def window_hours(self) -> int:
        """1: a tree reads the decision hour alone."""
        return 1

    def probability(self, data: TrainingSet, rows: Mapping[int, Rows]) -> dict[int, Floats]:
        """Raw probability of up on `rows` of each horizon, float64 [rows]."""
        return {h: self.probability_of(data.features[used], horizon_hours=h) for h, used in rows.items()}

    def probability_of(self, features: Matrix, *, horizon_hours: int) -> Floats:
        """Raw probability of up for feature rows [rows, features]."""
        members = self.members[horizon_hours]
        rounds, threads = self.rounds[horizon_hours], self.threads if len(features) >= _SMALL_FIT_ROWS else 1
        scores = [
            booster.predict(features, raw_score=True, num_iteration=rounds, num_threads=threads) for booster in members
        ]
        return sigmoid(np.mean(scores, axis=0))

    def probes(self, data: TrainingSet, *, sample: Rows, seed: int) -> dict[int, Probes]:
        """Real rows, holes, extremes, and every split of every tree from both sides."""
        return {
            horizon: probe_rows(
                data.features[sample],
                [booster.dump_model(num_iteration=self.rounds[horizon]) for booster in members],
                seed=seed,
            )
            for horizon, members in self.members.items()
        }

    def importance(self) -> dict[str, float]:
        """Share of total gain, mean over horizons."""
        shares = np.zeros(len(self.feature_names))
        for horizon, members in self.members.items():
            rounds = self.rounds[horizon]
            gain = sum(booster.feature_importance("gain", iteration=rounds) for booster in members)
            shares += gain / max(float(np.sum(gain)), 1e-12) / len(self.members)
        return dict(zip(self.feature_names, map(float, shares), strict=True))

    def to_onnx(self) -> dict[int, OnnxModel]:
        """Export every horizon; member trees are joined with their leaves divided by the member count."""
        return {
            horizon: export_trees(
                [booster.dump_model(num_iteration=self.rounds[horizon]) for booster in members],
                feature_count=len(self.feature_names),
            )
            for horizon, members in self.members.items()
        }
