"""Weights of overlapping labels: how much of a label is its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eth_pipeline.errors import ContractViolation
from eth_pipeline.labels.weights import overlap_weights

BEGIN = np.datetime64("2024-03-01T00", "us")


def times(hours: list[int]) -> np.ndarray:
    return BEGIN + np.array(hours, dtype="timedelta64[h]")


def naive(hours: list[int], horizon: int) -> list[float]:
    lives = [set(range(h, h + horizon)) for h in hours]
    return [float(np.mean([1 / sum(t in life for life in lives) for t in own])) for own in lives]


@given(hours=st.lists(st.integers(0, 60), min_size=1, max_size=25, unique=True).map(sorted), horizon=st.integers(1, 15))
def test_weights_equal_a_naive_count_of_labels_alive(hours: list[int], horizon: int) -> None:
    assert overlap_weights(times(hours), horizon_hours=horizon) == pytest.approx(naive(hours, horizon))


def test_labels_of_every_hour_weigh_one_over_the_horizon_away_from_the_ends() -> None:
    weights = overlap_weights(times(list(range(100))), horizon_hours=5)
    assert weights[10:90] == pytest.approx(np.full(80, 0.2))
    assert weights[0] > weights[1] > 0.2


def test_labels_that_do_not_overlap_weigh_one() -> None:
    assert overlap_weights(times([0, 24, 48]), horizon_hours=24) == pytest.approx(np.ones(3))


def test_no_labels_have_no_weights() -> None:
    assert len(overlap_weights(times([]), horizon_hours=5)) == 0


@pytest.mark.parametrize("hours", [[3, 2], [1, 1]])
def test_times_that_do_not_increase_are_refused(hours: list[int]) -> None:
    with pytest.raises(ContractViolation, match="increasing"):
        overlap_weights(times(hours), horizon_hours=5)


def test_a_horizon_of_nothing_is_refused() -> None:
    with pytest.raises(ContractViolation, match="horizon"):
        overlap_weights(times([0]), horizon_hours=0)
