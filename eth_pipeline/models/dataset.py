"""The training set: one float32 matrix, its row times, and the targets of every horizon.

Belongs here: joining a feature table to a label table into arrays, and naming the result by digest. Does not
belong: computing features or labels, choosing rows for folds (`models.folds`), filling missing values
(nobody does: missing is NaN to the end).

A row is one decision hour. Feature row T holds what was known at T; the targets of row T refer to the time
after T and end at `label_end`. A row is never dropped because a feature is missing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eth_pipeline.errors import ContractViolation, ProvenanceMismatch

Times = NDArray[np.datetime64]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class HorizonTarget:
    """What happened after each row, for one horizon; every array is [rows].

    Attributes:
        up: float32, 1 where the forward return was positive, 0 where not, NaN where unknown.
        forward_return: float64, log return, entered at the decision; NaN where unknown.
        late_return: float64, log return, entered one hour after the decision; NaN where unknown.
        label_end: datetime64[us], the last instant the label needed; NaT where unknown.
    """

    up: Matrix
    forward_return: Floats
    late_return: Floats
    label_end: Times

    @property
    def labelled(self) -> Mask:
        """Rows whose outcome and whose outcome's end are both known, bool [rows]."""
        known: Mask = np.isfinite(self.up) & np.isfinite(self.forward_return) & ~np.isnat(self.label_end)
        return known


@dataclass(frozen=True)
class TrainingSet:
    """Features and targets of one symbol from one origin, oldest row first.

    Attributes:
        symbol: what is forecast.
        provenance: `binance`, `replay` or `simulated`; one only.
        decision_time: datetime64[us] UTC [rows], strictly increasing.
        features: float32 [rows, features], NaN where missing, never infinite.
        feature_names: column names of `features`, in order.
        targets: horizon in hours to its target.
    """

    symbol: str
    provenance: str
    decision_time: Times
    features: Matrix
    feature_names: tuple[str, ...]
    targets: Mapping[int, HorizonTarget]

    @property
    def horizons_hours(self) -> tuple[int, ...]:
        """Horizons, shortest first."""
        return tuple(sorted(self.targets))

    def coverage(self) -> dict[str, float]:
        """Share of rows in which each feature is present, over all rows."""
        present = np.isfinite(self.features).mean(axis=0) if len(self.features) else np.zeros(len(self.feature_names))
        return dict(zip(self.feature_names, map(float, present), strict=True))

    def column(self, name: str) -> Floats:
        """One feature as float64 [rows].

        Raises:
            ContractViolation: there is no such feature.
        """
        if name not in self.feature_names:
            raise ContractViolation(f"The training set has no feature {name!r}. Pass one of its feature names.")
        return self.features[:, self.feature_names.index(name)].astype(np.float64)

    def digest(self) -> str:
        """sha256 over names, times, features and targets: equal digests are equal training sets."""
        digest = hashlib.sha256()
        digest.update("\0".join((self.symbol, self.provenance, *self.feature_names)).encode())
        arrays: list[NDArray[np.generic]] = [self.decision_time, self.features]
        for horizon_hours in self.horizons_hours:
            target = self.targets[horizon_hours]
            digest.update(f"horizon {horizon_hours}".encode())
            arrays += [target.up, target.forward_return, target.late_return, target.label_end]
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def make_training_set(
    features: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    feature_names: tuple[str, ...],
    horizons_hours: tuple[int, ...],
) -> TrainingSet:
    """Join features and labels on `decision_time`; every feature row stays, labelled or not.

    Args:
        features: columns symbol, decision_time, provenance and `feature_names` (nulls become NaN).
        labels: columns decision_time and, per horizon h, forward_return_{h}h, up_{h}h, label_end_{h}h,
            late_return_{h}h; nulls mean unknown.
        feature_names: the model inputs, in the order of the model.
        horizons_hours: which label columns to take.

    Raises:
        ContractViolation: a column is missing, a decision time occurs twice, there are no rows, more than one
            symbol, an infinite feature, or a label that ends before its decision.
        ProvenanceMismatch: the rows come from more than one origin.
    """
    label_names = [
        f"{kind}_{h}h" for h in horizons_hours for kind in ("forward_return", "up", "label_end", "late_return")
    ]
    _require_columns("features", features, ["symbol", "decision_time", "provenance", *feature_names])
    _require_columns("labels", labels, ["decision_time", *label_names])
    symbol, provenance = _one_origin(features)
    for name, frame in (("features", features), ("labels", labels)):
        if frame["decision_time"].is_duplicated().any():
            raise ContractViolation(f"{name}: a decision time occurs twice. One row per hour; deduplicate upstream.")
    joined = features.sort("decision_time").join(
        labels.select("decision_time", *label_names), on="decision_time", how="left", maintain_order="left"
    )
    matrix = joined.select(pl.col(feature_names).cast(pl.Float32).fill_null(float("nan"))).to_numpy()
    _refuse_infinite(matrix, feature_names)
    decision_time = _instants(joined["decision_time"])
    return TrainingSet(
        symbol=symbol,
        provenance=provenance,
        decision_time=decision_time,
        features=np.ascontiguousarray(matrix, dtype=np.float32),
        feature_names=feature_names,
        targets={h: _target(joined, decision_time, h) for h in sorted(horizons_hours)},
    )


def _require_columns(what: str, frame: pl.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        shown = ", ".join(missing[:5])
        raise ContractViolation(f"{what}: {len(missing)} columns missing ({shown}). Build them with the same settings.")


def _one_origin(features: pl.DataFrame) -> tuple[str, str]:
    symbols, origins = (sorted(features[name].unique()) for name in ("symbol", "provenance"))
    if len(symbols) != 1:
        raise ContractViolation(f"features hold {len(symbols)} symbols {symbols[:5]}; a training set has exactly one.")
    if len(origins) != 1:
        raise ProvenanceMismatch(f"features come from {origins}. Train on rows of one origin only.")
    return str(symbols[0]), str(origins[0])


def _refuse_infinite(matrix: Matrix, feature_names: tuple[str, ...]) -> None:
    infinite = np.isinf(matrix).sum(axis=0)
    if infinite.any():
        worst = int(infinite.argmax())
        raise ContractViolation(
            f"{int((infinite > 0).sum())} features hold infinite values, most in {feature_names[worst]!r} "
            f"({int(infinite[worst])} rows). A division by zero is a missing value: make it null in the feature."
        )


def _instants(column: pl.Series) -> Times:
    return column.cast(pl.Datetime("us", "UTC")).to_numpy().astype("datetime64[us]")


def _target(joined: pl.DataFrame, decision_time: Times, horizon_hours: int) -> HorizonTarget:
    def floats(kind: str) -> Floats:
        column = joined[f"{kind}_{horizon_hours}h"].cast(pl.Float64).fill_null(float("nan"))
        return column.to_numpy().astype(np.float64)

    label_end = _instants(joined[f"label_end_{horizon_hours}h"])
    if (label_end <= decision_time).any():
        raise ContractViolation(
            f"label_end_{horizon_hours}h is not after its decision time in {int((label_end <= decision_time).sum())} "
            "rows. Purging needs the instant at which a label was known; correct the labels."
        )
    return HorizonTarget(
        up=floats("up").astype(np.float32),
        forward_return=floats("forward_return"),
        late_return=floats("late_return"),
        label_end=label_end,
    )
