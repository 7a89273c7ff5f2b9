"""How far one row lies from the cloud of the training rows: a robust Mahalanobis distance that bears missing values.

Belongs here: the cloud that training leaves in the bundle, and the distance; numpy only. Does not belong: drift of many
rows (`models.drift`), what a distant row does to a position (`trading`).

Every feature alone may lie within its bounds and the row still be one that no market has shown: funding high, basis
negative. So features are standardised by their 1st and 99th percentile, and their covariance is that of probabilistic
principal components: some directions with their own variance, the rest alike. Of such a covariance the part of the
present features is exact, and inverting it costs one 10 x 10 solve.

Source: Tipping and Bishop (1999), probabilistic principal component analysis; Mahalanobis (1936).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from eth_pipeline.models.dataset import Floats, Matrix

COMPONENTS = 10
_SCORED_ROWS = 5_000
_WINSORISED_AT = 4.0
_DEVIATIONS_BETWEEN_PERCENTILES = 4.6527  # 1st to 99th of a normal distribution
_SMALLEST_VARIANCE = 1e-6


class CloudReference(BaseModel):
    """The training rows as a centre, scales, and a covariance of few directions; rounded to five digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    center: tuple[float, ...] = Field(description="Median of each feature; 0 where it was never present.")
    scale: tuple[float, ...] = Field(description="1st to 99th percentile as deviations of a normal distribution.")
    directions: tuple[tuple[float, ...], ...] = Field(description="Unit vectors, [components][features].")
    variances: tuple[float, ...] = Field(description="Along each direction, beyond the rest's.")
    rest_variance: float = Field(description="Across all other directions.")
    percentiles: tuple[float, ...] = Field(description="Distance of the training rows, percentile 0 to 100.")


@dataclass(frozen=True)
class CloudDistance:
    """Of one row; 1 is the distance of a typical row, the percentile is among the training rows."""

    distance: float
    percentile: float


def make_cloud(features: Matrix, *, components: int = COMPONENTS) -> CloudReference:
    """Describe training rows [rows, features]; at most 5,000 of them, evenly spaced, give the percentiles."""
    center, scale = _center_and_scale(features)
    scores = np.clip((features - center) / scale, -_WINSORISED_AT, _WINSORISED_AT)
    scores = np.where(np.isfinite(scores), scores, 0.0)
    values, vectors = np.linalg.eigh(scores.T @ scores / len(scores))
    kept = min(components, len(values) - 1)
    rest = max(float(values[: len(values) - kept].mean()), _SMALLEST_VARIANCE)
    variances = np.maximum(values[::-1][:kept] - rest, _SMALLEST_VARIANCE)
    cloud = CloudReference(
        center=_rounded(center),
        scale=_rounded(scale),
        directions=tuple(_rounded(vector) for vector in vectors.T[::-1][:kept]),
        variances=_rounded(variances),
        rest_variance=float(significant(rest)),
        percentiles=(),
    )
    spread = np.unique(np.linspace(0, len(features) - 1, _SCORED_ROWS).astype(np.int64))
    distances = cloud_distances(features[spread], cloud)
    percentiles = np.percentile(distances[np.isfinite(distances)], np.arange(101))
    return cloud.model_copy(update={"percentiles": _rounded(percentiles)})


def cloud_distances(features: Matrix, cloud: CloudReference) -> Floats:
    """Mahalanobis distance per square root of a present feature, [rows]; NaN where every feature is missing."""
    scores = (features.astype(np.float64) - np.array(cloud.center)) / np.array(cloud.scale)
    present = np.isfinite(scores)
    scores = np.where(present, scores, 0.0)
    directions = np.array(cloud.directions).reshape(len(cloud.variances), scores.shape[1])
    kept = len(cloud.variances)
    outer = (directions[:, None, :] * directions[None, :, :]).reshape(kept * kept, scores.shape[1])
    inner = (present.astype(np.float64) @ outer.T).reshape(len(scores), kept, kept)
    inner += cloud.rest_variance * np.diag(1 / np.array(cloud.variances))
    along = scores @ directions.T
    explained = np.einsum("nk,nk->n", along, np.linalg.solve(inner, along[:, :, None])[:, :, 0])
    squared = np.maximum((scores**2).sum(axis=1) - explained, 0.0) / cloud.rest_variance
    count = present.sum(axis=1)
    found: Floats = np.sqrt(np.where(count > 0, squared / np.maximum(count, 1), np.nan))
    return found


def distance_to_cloud(row: Matrix, cloud: CloudReference) -> CloudDistance:
    """Distance of one feature row [features] or [1, features], and its percentile among the training rows."""
    distance = float(cloud_distances(np.asarray(row).reshape(1, -1), cloud)[0])
    if np.isnan(distance):
        return CloudDistance(distance=distance, percentile=distance)
    percentile = float(np.interp(distance, cloud.percentiles, np.arange(101)))
    return CloudDistance(distance=distance, percentile=percentile)


def significant(values: Any) -> Any:
    """Rounded to five significant digits: a tenth of the bytes in JSON, and far finer than any limit."""
    return np.vectorize(lambda value: float(f"{value:.5g}"), otypes=[np.float64])(values)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(map(float, significant(values)))


def _center_and_scale(features: Matrix) -> tuple[Floats, Floats]:
    center, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
    for number, column in enumerate(features.T):
        present = column[np.isfinite(column)].astype(np.float64)
        if len(present):
            low, center[number], high = np.percentile(present, [1, 50, 99])
            scale[number] = (high - low) / _DEVIATIONS_BETWEEN_PERCENTILES or float(present.std()) or 1.0
    return significant(center), significant(scale)
