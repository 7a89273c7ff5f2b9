"""Tests of eth_pipeline.models.figures.metrics, against scikit-learn where it has the figure."""

import numpy as np
import pytest
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve

from eth_pipeline.models.figures import metrics


@pytest.mark.parametrize("levels", [3, 50, 1_000_000])
def test_auc_equals_sklearn_with_and_without_ties(levels: int) -> None:
    random = np.random.default_rng(1)
    up = (random.random(3_000) < 0.4).astype(float)
    score = np.round((random.standard_normal(3_000) + 0.3 * up) * levels) / levels
    assert metrics.auc(score, up) == pytest.approx(oracle.roc_auc_score(up, score), abs=1e-12)


def test_auc_of_one_class_is_unknown_and_not_one_half() -> None:
    """An evaluation that answers a number on nothing was found in published example projects."""
    assert np.isnan(metrics.auc(np.array([0.1, 0.9]), np.array([1.0, 1.0])))


def test_log_loss_equals_sklearn() -> None:
    random = np.random.default_rng(2)
    probability = random.uniform(0.01, 0.99, 2_000)
    up = (random.random(2_000) < probability).astype(float)
    assert metrics.log_loss(probability, up) == pytest.approx(oracle.log_loss(up, probability), rel=1e-12)


def test_calibration_error_equals_sklearns_quantile_bins() -> None:
    random = np.random.default_rng(3)
    probability = random.beta(4, 4, 10_000)
    up = (random.random(10_000) < probability**1.3).astype(float)
    frequency, forecast = calibration_curve(up, probability, n_bins=10, strategy="quantile")
    expected = np.abs(frequency - forecast).mean()
    assert metrics.calibration_error(probability, up) == pytest.approx(expected, abs=1e-3)


def test_a_constant_forecast_is_judged_by_its_one_frequency() -> None:
    """Cutting equal forecasts into ten bins by row order would measure the drift of the base rate instead."""
    up = np.concatenate([np.zeros(500), np.ones(500)])
    assert metrics.calibration_error(np.full(1_000, 0.5), up) == pytest.approx(0.0, abs=1e-12)
    assert metrics.calibration_error(np.full(1_000, 0.6), up) == pytest.approx(0.1, abs=1e-12)


def test_the_decile_spread_is_money_in_bps() -> None:
    score = np.arange(1_000) / 1_000
    log_return = np.where(score > 0.9, np.log(1.002), np.where(score < 0.1, np.log(0.999), 0.0))
    assert metrics.decile_spread_bps(score, log_return) == pytest.approx(30.0, abs=0.4)


def test_a_constant_score_has_no_decile_spread() -> None:
    assert np.isnan(metrics.decile_spread_bps(np.full(100, 0.5), np.ones(100)))


def test_every_trade_pays_its_round_trip_and_shorts_gain_from_falls() -> None:
    position = np.array([1.0, -1.0, 0.0])
    log_return = np.log([1.01, 1.01, 2.0])
    np.testing.assert_allclose(
        metrics.net_bps(position, log_return, round_trip_cost_bps=14.0), [100 - 14, -100 - 14], rtol=1e-9
    )


def test_a_year_with_one_outcome_only_is_left_out() -> None:
    times = np.array(["2023-12-31T23", "2024-01-01T00", "2024-01-01T01"], dtype="datetime64[us]")
    assert metrics.auc_by_year(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 1.0]), times) == {"2024": 1.0}


def test_the_log_loss_is_the_mean_of_what_each_row_lost() -> None:
    rows = metrics.row_log_loss(np.array([0.5, 0.9, 0.0]), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(rows, [np.log(2), -np.log(0.1), 0.0], atol=1e-6)


def test_bins_hold_equal_counts_and_equal_scores_share_one() -> None:
    score = np.random.default_rng(3).permutation(1_000).astype(float)
    member = metrics.equal_count_bins(score)
    assert np.bincount(member).tolist() == [100] * 10
    assert score[member == 9].min() == 900.0
    assert len(np.unique(metrics.equal_count_bins(np.full(50, 0.5)))) == 1


def test_only_moves_beyond_the_round_trip_pay_and_each_on_its_side() -> None:
    outcome = metrics.cost_outcome(np.array([-0.01, -0.0013, 0.0, 0.0015]), round_trip_cost_bps=14.0)
    assert outcome.tolist() == [-1.0, 0.0, 0.0, 1.0]
