"""Feature rows in LightGBM's bins, made once per window and shared by its horizons and by its fit and refit.

Belongs here: binning and row subsets. Does not belong: parameters and training (`boosting`).

Bin edges are a statistic of the features: they come from the rows given, which are rows that may be learnt from. Edges
of the whole history would tell an early window how large a value can become.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from eth_pipeline.models.dataset import Matrix, Rows, TrainingSet

_newest = threading.local()


class Binned:
    """Rows of all horizons together, binned once."""

    def __init__(self, data: TrainingSet, rows: Rows, native: Mapping[str, Any]) -> None:
        """Bin `rows` (increasing) of `data` under LightGBM's parameters `native`."""
        self._data = data
        self._rows = rows
        self._dataset = _bin(data.features[rows], native)

    def subset(self, rows: Rows, horizon_hours: int) -> Any:
        """LightGBM dataset of `rows` with the labels of one horizon."""
        chosen = self._dataset.subset([])
        chosen.used_indices = np.searchsorted(self._rows, rows).astype(np.int32)  # a list would be copied three times
        return chosen.construct().set_label(self._data.targets[horizon_hours].up[rows])


def _bin(matrix: Matrix, native: Mapping[str, Any]) -> Any:
    """Bin `matrix` [rows, features], or hand back the thread's newest result where that was of the same values.

    The fit of a window and its refit read the same rows, one after the other in one thread, and binning is a
    good part of a small fit. The values themselves are compared, so a matrix changed in place is binned again; that of
    the newest result is kept for it, and the caller must not write to it.
    """
    from lightgbm import Dataset

    if getattr(_newest, "native", None) != native or not _same_bits(_newest.matrix, matrix):
        labels = np.zeros(len(matrix))
        _newest.dataset = Dataset(matrix, label=labels, params=dict(native), free_raw_data=True).construct()
        _newest.matrix, _newest.native = matrix, dict(native)
    return _newest.dataset


def _same_bits(left: Matrix, right: Matrix) -> bool:
    """Equal, and missing where the other is missing: NaN is not equal to itself, its bits are."""
    return np.array_equal(left.view(np.uint32), right.view(np.uint32))
