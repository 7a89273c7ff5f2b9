"""Equally likely outcomes of a quantile forecast: where each lies between the forecast's levels.

Belongs here: the interpolation that `expected` and `kelly` share, so that an expected return and the size built on it
speak of one distribution. Does not belong: what either makes of it.

Between two levels the quantile function is linear in normal scores, and beyond the outermost ones it goes on so: a
normal forecast is the same whatever levels it is given at.
"""

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

POINTS = 200


@lru_cache(maxsize=16)
def grid(levels: tuple[float, ...]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Segment between two levels, and place within it (beyond 0..1 in the tails), of each of `POINTS` outcomes."""
    normal = NormalDist()
    known = np.array([normal.inv_cdf(level) for level in levels])
    asked = np.array([normal.inv_cdf((n + 0.5) / POINTS) for n in range(POINTS)])
    segment = np.clip(np.searchsorted(known, asked) - 1, 0, len(levels) - 2)
    return segment, (asked - known[segment]) / (known[segment + 1] - known[segment])
