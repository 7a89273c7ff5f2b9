"""Tests of eth_pipeline.models.networks.windows."""

from dataclasses import replace

import numpy as np
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.networks.windows import hour_grid, raw_windows
from eth_pipeline_tests.planted_sequence import HOUR, planted_sequence

WINDOW = 6


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_sequence(200, strength=0.0, seed=1)


def window_by_looking_up(data: TrainingSet, row: int) -> np.ndarray:
    """One window, hour by hour, from a dictionary of the rows by time."""
    by_time = dict(zip(data.decision_time, data.features, strict=True))
    missing = np.full(data.features.shape[1], np.nan, dtype=np.float32)
    hours = [data.decision_time[row] - back * HOUR for back in reversed(range(WINDOW))]
    return np.stack([by_time.get(hour, missing) for hour in hours])


def test_windows_equal_a_plain_loop_over_the_hours(data: TrainingSet) -> None:
    """Also over hours that are missing, and before the first hour of history."""
    assert (np.diff(data.decision_time) > HOUR).any()
    rows = np.arange(len(data.decision_time))
    expected = np.stack([window_by_looking_up(data, row) for row in rows])
    np.testing.assert_array_equal(raw_windows(data, rows, window_hours=WINDOW), expected)


def test_the_last_hour_of_a_window_is_the_decision_hour(data: TrainingSet) -> None:
    """Sequence models were trained on a window that ended one bar before the one served."""
    rows = np.arange(50, 60)
    np.testing.assert_array_equal(raw_windows(data, rows, window_hours=WINDOW)[:, -1], data.features[rows])


def test_a_missing_hour_is_a_row_of_missing_values_and_not_the_hour_before_it(data: TrainingSet) -> None:
    after_gap = int(np.flatnonzero(np.diff(data.decision_time) > HOUR)[0]) + 1
    window = raw_windows(data, np.array([after_gap]), window_hours=WINDOW)[0]
    assert np.isnan(window[-2]).all()
    assert not np.isnan(window[-1]).all()


def test_a_changed_future_changes_no_window(data: TrainingSet) -> None:
    changed = replace(data, features=data.features.copy())
    changed.features[101:] = 77.0
    rows = np.arange(101)
    before, after = (raw_windows(each, rows, window_hours=WINDOW) for each in (data, changed))
    np.testing.assert_array_equal(before, after)


def test_decisions_between_the_hours_are_refused(data: TrainingSet) -> None:
    times = data.decision_time.copy()
    times[7] += np.timedelta64(1, "m")
    with pytest.raises(ContractViolation, match="whole hours"):
        hour_grid(times, window_hours=WINDOW)
