"""Windows on time: the hours up to a decision, a missing hour being a row of missing values.

Belongs here: where a decision hour lies on the hourly grid, and raw windows as the runtime builds them. Does not
belong: scaling (`inputs`), gathering on the device (`training`), which does the same by row number on the same grid.

A window built by row number would reach further back after a gap than the window served live, which is by time.
"""

from dataclasses import dataclass

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import Matrix, Rows, Times, TrainingSet

_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class HourGrid:
    """Every hour from `window_hours - 1` before the first decision to the last one.

    Attributes:
        positions: int64 [rows], where each row of the training set lies on the grid.
        hours: length of the grid.
        window_hours: hours of one window, the decision hour included.
    """

    positions: Rows
    hours: int
    window_hours: int

    @property
    def offsets(self) -> Rows:
        """Grid steps from the decision hour to each hour of its window, oldest first: -(window_hours - 1) .. 0."""
        return np.arange(1 - self.window_hours, 1)


def hour_grid(decision_time: Times, *, window_hours: int) -> HourGrid:
    """Lay decision times on the grid.

    Raises:
        ContractViolation: a decision time is not a whole number of hours after the first.
    """
    passed = decision_time - decision_time[0]
    if (passed % _HOUR != np.timedelta64(0, "h")).any():
        raise ContractViolation("Decision times are not whole hours apart. Sequence models need the hourly grid.")
    positions = (passed // _HOUR).astype(np.int64) + window_hours - 1
    return HourGrid(positions, hours=int(positions[-1]) + 1, window_hours=window_hours)


def raw_windows(data: TrainingSet, rows: Rows, *, window_hours: int) -> Matrix:
    """Windows as the export takes them: float32 [rows, window_hours, features], oldest hour first, NaN if missing."""
    grid = hour_grid(data.decision_time, window_hours=window_hours)
    matrix = np.full((grid.hours, data.features.shape[1]), np.nan, dtype=np.float32)
    matrix[grid.positions] = data.features
    windows: Matrix = matrix[grid.positions[rows][:, None] + grid.offsets]
    return windows
