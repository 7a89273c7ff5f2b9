"""Where a LightGBM split sends a value, said in float32 as ONNX compares.

Belongs here: thresholds and missing values of one split. Does not belong: the graph of the trees
(`onnx_export`), proving that it is the model (`models.parity`).

The generic converters write each double threshold as the nearest float32. LightGBM asks `x <= threshold` in
doubles; for a float32 `x` that is the same as `x <= t32` only if t32 is the LARGEST float32 not above the
threshold. Rounded to nearest, half of the thresholds move up, and a value lying exactly there goes the other
way. So thresholds are rounded down here. A missing value goes where the tree learnt to send it; in a split
on a feature that was never missing in training LightGBM reads it as 0, and so does the export.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from eth_pipeline.errors import ParityFailed

_DUMPED_INFINITY = 1e300
_READ_AS_ZERO = float(np.float32(1e-35))


def float32_at_most(threshold: float) -> float:
    """The largest float32 that does not exceed `threshold`, which lies in the float32 range."""
    rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


@lru_cache(maxsize=2**16)  # trees share the edges of a feature's bins
def exported_threshold(threshold: float) -> float:
    """The float32 t for which `x <= t` decides every float32 x as LightGBM decides it at `threshold`.

    Two habits of LightGBM 4 besides its doubles: a split of missing against present has the threshold
    infinity, which its dump writes as 1e300; and at prediction it reads every |x| <= 1e-35f as zero, so at a
    threshold of -1e-35f (the edge of its zero bin) the value -1e-35f itself goes right.
    """
    if threshold >= _DUMPED_INFINITY:
        return float("inf")
    if -_READ_AS_ZERO <= threshold < 0:
        return float(np.nextafter(np.float32(-_READ_AS_ZERO), np.float32(-np.inf)))
    return float32_at_most(max(threshold, _READ_AS_ZERO) if threshold >= 0 else threshold)


def missing_goes_left(node: dict[str, Any]) -> bool:
    """Where LightGBM sends NaN at a split of its model dump.

    Raises:
        ParityFailed: a missing type that this export does not know.
    """
    missing_type = node["missing_type"]
    if missing_type == "NaN":
        return bool(node["default_left"])
    if missing_type == "None":
        return float(node["threshold"]) >= 0.0
    raise ParityFailed(
        f"A split treats missing values as {missing_type!r}; the export knows NaN and None. "
        "Train with zero_as_missing=false."
    )
