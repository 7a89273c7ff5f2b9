"""Tests of eth_pipeline.models.folds."""

import json
from itertools import pairwise
from pathlib import Path

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
SKFOLIO = Path(__file__).parent / "oracles" / "skfolio_splits.json"


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


@pytest.mark.parametrize("gap", [5, 11, 29, 48])
@pytest.mark.parametrize("horizon_hours", [1, 5])
def test_every_gap_is_the_gap_of_sklearn(gap: int, horizon_hours: int) -> None:
    """Row i may teach when its label ends before start - embargo: horizon + embargo rows are left out."""
    decision_time = hourly(1_000)
    ours = folds(decision_time, decision_time + horizon_hours * HOUR, embargo_hours=gap - horizon_hours)
    oracle = TimeSeriesSplit(n_splits=7, test_size=100, gap=gap).split(decision_time)
    for fold, (learn, test) in zip(ours, oracle, strict=True):
        np.testing.assert_array_equal(fold.test, test)
        assert ends(fold.learn) == ends(learn)


def ends(rows: np.ndarray) -> list[int]:
    return [int(rows[0]), int(rows[-1])]


@pytest.mark.parametrize("kind", ["expanding", "rolling"])
@pytest.mark.parametrize("gap", [5, 11, 29, 48])
def test_the_folds_are_those_of_skfolio(kind: str, gap: int) -> None:
    """Its purged walk-forward, splits stored by oracles/skfolio_splits.py; rolling there counts rows, here hours."""
    stored = json.loads(SKFOLIO.read_text())
    decision_time = hourly(stored["rows"])
    span = 300 if kind == "expanding" else stored["rolling_rows"] + gap
    ours = walk_forward_folds(
        decision_time,
        decision_time + 5 * HOUR,
        refit_every_hours=stored["test_rows"],
        min_train_hours=span,
        max_train_hours=None if kind == "expanding" else span,
        embargo_hours=gap - 5,
    )
    oracle = stored[kind][str(gap)]
    assert len(oracle) >= 6
    for fold, split in zip(ours, oracle, strict=False):
        assert {"learn": ends(fold.learn), "test": ends(fold.test)} == split
        assert len(fold.test) == stored["test_rows"]
        assert fold.validation[-1] == fold.learn[-1]


@pytest.mark.parametrize("gap", [5, 11, 29, 48])
def test_learning_before_the_newest_folds_is_that_of_combinatorial_purged_cross_validation(gap: int) -> None:
    """Of its combinations only those that test the newest folds learn from the past alone."""
    stored = json.loads(SKFOLIO.read_text())
    decision_time = hourly(stored["rows"])
    ours = {ends(fold.test)[0]: fold for fold in folds(decision_time, decision_time + HOUR, embargo_hours=gap - 1)}
    for split in stored["newest_folds"][str(gap)]:
        assert ends(ours[split["test"][0]].learn) == split["learn"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 90)), min_size=200, max_size=400),
    embargo_hours=st.integers(0, 72),
    validation_share=st.floats(0.05, 0.6),
    refit_every_hours=st.integers(24, 400),
)
def test_no_label_interval_overlaps_what_it_must_not(
    rows: list[tuple[int, int]], embargo_hours: int, validation_share: float, refit_every_hours: int
) -> None:
    """Hours missing at random, labels of random length: an interval [decision, label end] stays out of everything
    from the test start less the embargo, a train interval also out of validation less the embargo, and no row that
    could have taught is left out of both without that reason.
    """
    decision_time = START + np.cumsum([step for step, _ in rows]) * HOUR
    label_end = decision_time + np.array([length for _, length in rows]) * HOUR
    embargo = embargo_hours * HOUR
    found = walk_forward_folds(
        decision_time,
        label_end,
        refit_every_hours=refit_every_hours,
        min_train_hours=150,
        max_train_hours=None,
        embargo_hours=embargo_hours,
        validation_share=validation_share,
    )
    for fold in found:
        forbidden = fold.test_start - embargo
        for learner in (fold.train, fold.validation):
            assert not ((label_end[learner] >= forbidden) | (decision_time[learner] >= forbidden)).any()
        stops = decision_time[fold.validation].min() - embargo
        assert not ((label_end[fold.train] >= stops) | (decision_time[fold.train] >= stops)).any()
        allowed = np.flatnonzero(label_end < forbidden)
        left_out = np.setdiff1d(allowed, fold.learn)
        assert (label_end[left_out] >= stops).all()
        assert not (decision_time[fold.test] < fold.test_start).any()


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
