"""Are the newest rows still the rows the model learnt from: PSI and KS per feature, with limits that know the clock.

Belongs here: the reference that training leaves in the bundle, and the comparison; numpy only, the hourly path uses
it. Does not belong: the distance of one row (`models.cloud`), what an alarm does (`operations`).

Hourly rows are not independent: 168 rows of a 30-day volatility are one observation, so a KS test that believes in 168
alarms always. Here a limit is the 99th percentile of the same statistic over windows of the same length taken from the
reference itself, one per feature; and since some of hundreds of features are always beyond theirs, the alarm is on the
share of them, with a limit found the same way. A feature slower than the window cannot be seen to drift within it, and
its limit says so.

Source: Kolmogorov-Smirnov two-sample statistic; population stability index (Siddiqi 2006); limits by subsampling
(Politis, Romano, Wolf 1999).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.cloud import CloudReference, significant
from eth_pipeline.models.dataset import Floats, Matrix

WINDOW_ROWS = 168
LIMIT_PERCENTILE = 99.0
MIN_WINDOWS = 20
_BINS = 30
_PSI_BINS = 10
_SMALLEST_SHARE = 1e-4
_ROUNDED_UP = 1 + 1e-4

Bins = NDArray[np.int64]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureReference(_Frozen):
    """One feature in training: its distribution function at some values, and what windows of it looked like."""

    name: str
    edges: tuple[float, ...] = Field(description="Ascending values, about 1/30 of the present rows apart.")
    shares: tuple[float, ...] = Field(description="Share of the present rows at or below each edge.")
    missing_share: float
    psi_limit: float
    ks_limit: float


class DriftReference(_Frozen):
    """What newest rows are compared with; below 300 kB of JSON for 335 features."""

    window_rows: int
    features: tuple[FeatureReference, ...]
    drifted_share_limit: float = Field(description="Share of features beyond a limit that 1 % of past windows exceed.")
    cloud: CloudReference


class FeatureDrift(_Frozen):
    """One feature of the newest rows; KS is null where it is missing throughout."""

    name: str
    psi: float
    ks: float | None
    drifted: bool


class DriftReport(_Frozen):
    """The newest rows against the training rows, worst feature first."""

    rows: int
    features: tuple[FeatureDrift, ...]
    drifted_share: float
    drifted_share_limit: float
    drifted: bool


def make_drift_reference(
    features: Matrix, *, names: Sequence[str], cloud: CloudReference, window_rows: int = WINDOW_ROWS
) -> DriftReference:
    """Describe the training rows.

    Args:
        features: training rows [rows, features], oldest first, hourly, NaN where missing.
        names: of the columns.
        cloud: `cloud.make_cloud` of the same rows.
        window_rows: how many newest rows will be compared at a time.

    Raises:
        ContractViolation: fewer rows than 20 windows, so no limit can be found.
    """
    if len(features) < MIN_WINDOWS * window_rows:
        raise ContractViolation(
            f"{len(features)} training rows hold fewer than {MIN_WINDOWS} windows of {window_rows} rows, so limits of "
            "drift cannot be found. Train on more history."
        )
    starts = np.arange(0, len(features) - window_rows + 1, max(1, window_rows // 2))
    windows = starts[:, None] + np.arange(window_rows)
    described, beyond = [], np.zeros(len(windows))
    for name, column in zip(names, features.T, strict=True):
        distribution = _describe(name, column.astype(np.float64))
        psi, ks = _statistics(_bins(column, distribution)[windows], distribution)
        limits = {"psi_limit": _limit(psi), "ks_limit": _limit(ks)}
        described.append(distribution.model_copy(update=limits))
        beyond += (psi > limits["psi_limit"]) | (ks > limits["ks_limit"])
    share_limit = _limit(beyond / max(len(described), 1))
    return DriftReference(
        window_rows=window_rows, features=tuple(described), drifted_share_limit=share_limit, cloud=cloud
    )


def measure_drift(newest: Matrix, reference: DriftReference) -> DriftReport:
    """Compare the newest rows with the training rows.

    Args:
        newest: exactly `window_rows` hourly rows [rows, features], columns as in the reference.
        reference: from the bundle.

    Raises:
        ContractViolation: another number of rows or columns; the limits hold for that window only.
    """
    if newest.shape != (reference.window_rows, len(reference.features)):
        raise ContractViolation(
            f"Drift is measured on {reference.window_rows} rows of {len(reference.features)} features and got "
            f"{newest.shape[0]} of {newest.shape[1]}: its limits hold for that window only. Pass the newest "
            f"{reference.window_rows} hours of the bundle's inputs."
        )
    found, excess = [], []
    for known, column in zip(reference.features, newest.T, strict=True):
        psi, ks = (float(statistic[0]) for statistic in _statistics(_bins(column, known)[None, :], known))
        drifted = psi > known.psi_limit or ks > known.ks_limit
        found.append(FeatureDrift(name=known.name, psi=psi, ks=None if np.isnan(ks) else ks, drifted=drifted))
        excess.append(max(psi / max(known.psi_limit, 1e-12), 0.0 if np.isnan(ks) else ks / max(known.ks_limit, 1e-12)))
    share = float(np.mean([feature.drifted for feature in found]))
    return DriftReport(
        rows=len(newest),
        features=tuple(found[position] for position in np.argsort(excess, kind="stable")[::-1]),
        drifted_share=share,
        drifted_share_limit=reference.drifted_share_limit,
        drifted=share > reference.drifted_share_limit,
    )


def _describe(name: str, column: Floats) -> FeatureReference:
    present = np.sort(column[np.isfinite(column)])
    edges: Floats = np.empty(0)
    if len(present):
        inner = np.quantile(present, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
        edges = np.unique(significant(inner))
    shares = np.searchsorted(present, edges, side="right") / max(len(present), 1)
    return FeatureReference(
        name=name,
        edges=tuple(map(float, edges)),
        shares=tuple(map(float, np.round(shares, 5))),
        missing_share=float(1 - len(present) / max(len(column), 1)),
        psi_limit=0.0,
        ks_limit=0.0,
    )


def _bins(column: Matrix, reference: FeatureReference) -> Bins:
    """Number of the first edge at or above each value; one past the last bin where missing."""
    values = column.astype(np.float64)
    found = np.searchsorted(np.array(reference.edges), values, side="left")
    return np.where(np.isfinite(values), found, len(reference.edges) + 1)


def _statistics(bins: Bins, reference: FeatureReference) -> tuple[Floats, Floats]:
    """PSI and KS of each window of `bins` [windows, rows]; KS is NaN where nothing is present.

    KS is read at the edges, so it is at most 1/30 below the exact statistic for a continuous feature.
    """
    windows, rows = bins.shape
    width = len(reference.edges) + 2
    flat = (bins + np.arange(windows)[:, None] * width).ravel()
    counts = np.bincount(flat, minlength=windows * width).reshape(windows, width).astype(np.float64)
    shares = np.array(reference.shares)
    below, present = np.cumsum(counts[:, :-2], axis=1), rows - counts[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.abs(below / present[:, None] - shares)
    ks = distances.max(axis=1) if len(shares) else np.where(present > 0, 0.0, np.nan)
    return _stability_index(below, present, rows, reference), ks


def _stability_index(below: Floats, present: Floats, rows: int, reference: FeatureReference) -> Floats:
    """PSI over tenths of the reference and over the missing rows; an empty bin counts as half a row or as expected."""
    shares = np.array(reference.shares)
    tenths = np.unique(np.searchsorted(shares, np.arange(1, _PSI_BINS) / _PSI_BINS - _SMALLEST_SHARE))
    tenths = tenths[tenths < len(shares)]
    known = np.diff(np.concatenate([[0.0], shares[tenths], [1.0]])) * (1 - reference.missing_share)
    expected = np.maximum(np.append(known, reference.missing_share), _SMALLEST_SHARE)
    zeros, total = np.zeros((len(below), 1)), present[:, None]
    counts = np.column_stack([np.diff(np.concatenate([zeros, below[:, tenths], total], axis=1)), rows - total])
    found = np.maximum(counts / rows, np.minimum(0.5 / rows, expected))
    index: Floats = ((found - expected) * np.log(found / expected)).sum(axis=1)
    return index


def _limit(values: Floats) -> float:
    """The limit of past windows, rounded up: a statistic that never changes must not exceed its own past."""
    present = values[np.isfinite(values)]
    return float(significant(np.percentile(present, LIMIT_PERCENTILE) * _ROUNDED_UP)) if len(present) else 0.0
