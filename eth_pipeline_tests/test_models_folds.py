"""Tests of eth_pipeline.models.folds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.dataset import Times
from eth_pipeline.models.folds import Fold, walk_forward_folds

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2023-01-01", "us")


def hourly(rows: int) -> Times:
    return START + np.arange(rows) * HOUR


def folds(decision_time: Times, label_end: Times, *, embargo_hours: int = 6, rolling: int | None = None) -> list[Fold]:
    return list(
        walk_forward_folds(
            decision_time,
            label_end,
            refit_every_hours=100,
            min_train_hours=300,
            max_train_hours=rolling,
            embargo_hours=embargo_hours,
        )
    )


def test_with_constant_horizons_the_folds_are_those_of_sklearn() -> None:
    """A label of 5 h and an embargo of 6 h are a gap of 11 rows for hourly rows without holes."""
    decision_time = hourly(1_000)
    ours = folds(decision_time, decision_time + 5 * HOUR)
    oracle = list(TimeSeriesSplit(n_splits=7, test_size=100, gap=11).split(decision_time))
    assert len(ours) == len(oracle)
    for fold, (learn, test) in zip(ours, oracle, strict=True):
        np.testing.assert_array_equal(fold.test, test)
        newest = fold.validation[-1]
        assert newest == learn[-1]
        np.testing.assert_array_equal(fold.validation, learn[-len(fold.validation) :])
        assert fold.train[-1] == fold.validation[0] - 11 - 1
        np.testing.assert_array_equal(fold.train, learn[: len(fold.train)])


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=600, max_size=600),
    steps=st.lists(st.integers(1, 4), min_size=600, max_size=600),
    unknown=st.sets(st.integers(0, 599), max_size=80),
    embargo_hours=st.integers(0, 40),
    rolling=st.one_of(st.none(), st.integers(150, 500)),
)
def test_no_label_that_teaches_reaches_the_rows_it_is_scored_on(
    lengths: list[int], steps: list[int], unknown: set[int], embargo_hours: int, rolling: int | None
) -> None:
    """Purging by row number leaks as soon as an hour is missing or a label is longer; this is by label interval."""
    decision_time = START + np.cumsum(steps) * HOUR
    label_end = decision_time + np.array(lengths) * HOUR
    label_end[sorted(unknown)] = np.datetime64("NaT")
    embargo = embargo_hours * HOUR
    found = folds(decision_time, label_end, embargo_hours=embargo_hours, rolling=rolling)
    for fold in found:
        first_scored = decision_time[fold.test].min()
        assert first_scored >= fold.test_start
        assert label_end[fold.learn].max() < fold.test_start - embargo
        assert label_end[fold.train].max() < decision_time[fold.validation].min() - embargo
        assert not set(fold.learn) & set(fold.test)
        assert not unknown & set(np.concatenate([fold.learn, fold.test]))
        if rolling is not None:
            assert decision_time[fold.learn].min() >= fold.test_start - rolling * HOUR
    for before, after in pairwise(found):
        assert decision_time[before.test].max() < decision_time[after.test].min()


def test_every_labelled_hour_after_the_first_window_is_scored_exactly_once() -> None:
    decision_time = hourly(1_234)
    label_end = decision_time + 5 * HOUR
    label_end[-5:] = np.datetime64("NaT")
    scored = np.concatenate([fold.test for fold in folds(decision_time, label_end)])
    np.testing.assert_array_equal(scored, np.arange(300, 1_229))


def test_test_windows_do_not_depend_on_the_horizon() -> None:
    decision_time = hourly(1_000)
    short, long = (folds(decision_time, decision_time + h * HOUR) for h in (5, 24))
    assert [fold.test_start for fold in short] == [fold.test_start for fold in long]
    assert [len(a.test) for a in short] == [len(b.test) for b in long]


def test_a_history_too_short_for_one_window_says_so() -> None:
    decision_time = hourly(250)
    with pytest.raises(SettingsInvalid, match="min_train_hours is 300"):
        folds(decision_time, decision_time + 5 * HOUR)


def test_a_history_without_labels_says_so() -> None:
    decision_time = hourly(400)
    with pytest.raises(SettingsInvalid, match="No row has a label"):
        folds(decision_time, np.full(400, np.datetime64("NaT"), dtype="datetime64[us]"))
