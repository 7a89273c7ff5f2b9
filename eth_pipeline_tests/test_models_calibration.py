"""Tests of eth_pipeline.models.calibration."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from eth_pipeline.models.calibration import MIN_SLOPE, Calibration, fit_calibration, fit_logistic, logit, sigmoid
from eth_pipeline.models.figures.metrics import calibration_error, log_loss


def overconfident(rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts whose logits are twice as far from zero as they should be."""
    random = np.random.default_rng(seed)
    truth = sigmoid(random.normal(0.1, 0.5, rows))
    return sigmoid(2 * logit(truth)), (random.random(rows) < truth).astype(float)


def test_an_exaggerating_forecast_is_brought_back_to_frequencies() -> None:
    raw, up = overconfident(40_000, seed=1)
    calibration = fit_calibration(raw, up, horizon_hours=1)
    assert calibration.slope == pytest.approx(0.5, abs=0.05)
    fresh_raw, fresh_up = overconfident(40_000, seed=2)
    before, after = fresh_raw, calibration.apply(fresh_raw)
    assert calibration_error(after, fresh_up) < 0.01 < calibration_error(before, fresh_up)
    assert log_loss(after, fresh_up) < log_loss(before, fresh_up)


def test_without_data_the_prior_leaves_the_forecast_as_it_is() -> None:
    raw, up = overconfident(12, seed=3)
    calibration = fit_calibration(raw, up, horizon_hours=12)
    assert calibration.slope == pytest.approx(1.0, abs=0.15)
    assert calibration.intercept == pytest.approx(0.0, abs=0.05)


def test_calibration_never_turns_a_ranking_round() -> None:
    """A plain Platt fit on a wrong quarter flips the forecast of the next one."""
    raw, up = overconfident(20_000, seed=4)
    calibration = fit_calibration(raw, 1 - up, horizon_hours=1)
    assert calibration.slope == pytest.approx(MIN_SLOPE, rel=1e-3)
    ordered = np.sort(raw)
    assert (np.diff(calibration.apply(ordered)) >= 0).all()


def test_identity_is_the_identity() -> None:
    raw = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(Calibration().apply(raw), raw, rtol=1e-9)


def test_the_logistic_fit_equals_sklearn_where_the_prior_is_flat() -> None:
    raw, up = overconfident(5_000, seed=5)
    slope, intercept = fit_logistic(logit(raw), up, weight=1.0, prior_mean=(0.0, 0.0), prior_sd=(1e4, 1e4))
    oracle = LogisticRegression(C=1e8, tol=1e-8).fit(logit(raw)[:, None], up)
    assert slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=1e-3)
