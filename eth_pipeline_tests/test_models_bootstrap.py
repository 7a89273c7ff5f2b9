"""Tests of eth_pipeline.models.figures.bootstrap."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eth_pipeline.models.dataset import Times
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc, decile_spread_bps

HOUR = np.timedelta64(1, "h")


def hours(rows: int) -> Times:
    return np.datetime64("2024-01-04", "us") + np.arange(rows) * HOUR  # a Thursday, where numpy's weeks begin


def test_a_resampled_auc_is_the_auc_of_the_repeated_weeks() -> None:
    """The cumulative-sum form must equal what writing the drawn weeks out row by row gives, ties included."""
    random = np.random.default_rng(4)
    rows = 168 * 10
    up = (random.random(rows) < 0.5).astype(float)
    score = np.round(random.standard_normal(rows) + 0.2 * up, 1)
    resamples = WeeklyResamples.of(hours(rows), samples=50, seed=5)
    assert resamples.weeks == 10
    drawn = resamples.auc(score, up)
    for sample in range(50):
        taken = np.repeat(np.arange(rows), resamples.draws[sample].astype(int)[resamples.week])
        assert drawn[sample] == pytest.approx(roc_auc_score(up[taken], score[taken]), abs=1e-12)


def test_weeks_that_only_rose_or_only_fell_and_more_weeks_than_one_pass_holds_change_nothing() -> None:
    """Pairs are counted week against week, a few dozen weeks at a time; a subset of rows may leave a week empty."""
    random = np.random.default_rng(14)
    rows = 168 * 150
    up = (random.random(rows) < 0.5).astype(float)
    up[: 168 * 3], up[168 * 80 : 168 * 90] = 1.0, 0.0
    score = np.round(random.standard_normal(rows) + 0.1 * up, 2)
    resamples = WeeklyResamples.of(hours(rows), samples=5, seed=5)
    mask = (random.random(rows) < 0.3) & (resamples.week % 7 != 2)
    drawn = resamples.where(mask).auc(score[mask], up[mask])
    for sample in range(5):
        weight = resamples.draws[sample][resamples.week[mask]]
        assert drawn[sample] == pytest.approx(roc_auc_score(up[mask], score[mask], sample_weight=weight), abs=1e-12)


def test_a_resample_with_one_outcome_only_has_no_auc() -> None:
    resamples = WeeklyResamples.of(hours(1_680), samples=50, seed=1)
    assert np.isnan(resamples.auc(np.arange(1_680.0), np.ones(1_680))).all()
    assert np.isnan(resamples.auc(np.arange(1_680.0), np.zeros(1_680))).all()


def test_a_resampled_mean_is_the_mean_of_the_repeated_weeks() -> None:
    values = np.random.default_rng(6).standard_normal(168 * 10)
    mask = values > 0.3
    resamples = WeeklyResamples.of(hours(len(values)), samples=20, seed=5)
    drawn = resamples.where(mask).mean(values[mask])
    for sample in range(20):
        taken = np.repeat(values, resamples.draws[sample].astype(int)[resamples.week])
        assert drawn[sample] == pytest.approx(taken[taken > 0.3].mean())


def test_drawing_every_week_once_gives_the_figure_itself() -> None:
    random = np.random.default_rng(7)
    score, gain = random.standard_normal(1_680), random.standard_normal(1_680) / 100
    once = WeeklyResamples(WeeklyResamples.of(hours(1_680), samples=50, seed=0).week, np.ones((1, 10)))
    assert once.decile_spread_bps(score, gain)[0] == pytest.approx(decile_spread_bps(score, gain))
    assert once.auc(score, gain > 0)[0] == pytest.approx(auc(score, (gain > 0).astype(float)))


def test_the_interval_covers_the_truth_although_neighbouring_labels_agree() -> None:
    """Rows of one day share their outcome here; a row-wise bootstrap would be about five times too narrow."""
    days, covered, histories = 52 * 7, 0, 60
    for seed in range(histories):
        random = np.random.default_rng(seed)
        score = np.repeat(random.standard_normal(days), 24)
        up = np.repeat((random.random(days) < 0.5).astype(float), 24)
        resamples = WeeklyResamples.of(hours(days * 24), samples=100, seed=seed)
        estimate = resamples.estimate(auc(score, up), resamples.auc(score, up))
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= 0.5 <= estimate.high
    assert covered >= 0.85 * histories


def test_the_difference_of_two_scores_is_paired() -> None:
    """Two equal forecasts differ by exactly nothing in every resample."""
    random = np.random.default_rng(8)
    score, up = random.standard_normal(3_360), (random.random(3_360) < 0.5).astype(float)
    resamples = WeeklyResamples.of(hours(3_360), samples=50, seed=1)
    assert np.abs(resamples.auc(score, up) - resamples.auc(2 * score + 1, up)).max() == 0.0


def test_too_few_rows_give_no_figure_and_too_few_weeks_no_interval() -> None:
    few = WeeklyResamples.of(hours(99), samples=50, seed=1)
    assert few.estimate(0.7, np.full(50, 0.7)).value is None
    short = WeeklyResamples.of(hours(168 * 7), samples=50, seed=1)
    assert short.estimate(0.7, np.full(50, 0.7)).model_dump() == {"value": 0.7, "low": None, "high": None}


def test_the_same_seed_draws_the_same_weeks() -> None:
    one, two, other = (WeeklyResamples.of(hours(3_360), samples=50, seed=seed).draws for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
