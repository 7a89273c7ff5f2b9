"""Tests of eth_pipeline.models.stacking: forward in time, toward the mean, and no skill out of nothing."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.calibration import logit, sigmoid
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.out_of_fold import OOF_SCHEMA
from eth_pipeline.models.stacking import fit_stack, fit_weights
from eth_pipeline.settings import TrainingSettings

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
SETTINGS = TrainingSettings(horizons_hours=(5,), bootstrap_samples=200)
ROWS, WINDOW = 12_000, 1_000


def oof(probability: np.ndarray, up: np.ndarray, *, horizon_hours: int = 5) -> pl.DataFrame:
    """An out-of-fold table of one horizon with windows of 1,000 hours."""
    hours = [BEGIN + timedelta(hours=n) for n in range(len(up))]
    rows = pl.DataFrame({"decision_time": hours, "probability": probability, "up": up.astype(np.int8)})
    return rows.with_columns(
        horizon_hours=pl.lit(horizon_hours),
        fold=pl.int_range(pl.len()) // WINDOW,
        raw_probability=pl.col("probability"),
        forward_return=pl.Series(np.where(up > 0, 0.004, -0.004)),
        late_return=pl.lit(0.0),
        volatility_probability=pl.lit(0.5),
        constant_probability=pl.lit(0.5),
        position=pl.lit(0),
    ).select(pl.col(name).cast(dtype) for name, dtype in OOF_SCHEMA.items())


def two_views(*, strength: float, seed: int, noise_first: float = 1.0) -> tuple[dict[str, pl.DataFrame], np.ndarray]:
    """Two members that each see the truth through their own noise."""
    random = np.random.default_rng(seed)
    truth = random.normal(0, strength, ROWS)
    up = (random.random(ROWS) < sigmoid(truth)).astype(float)
    noisy = [
        truth + random.normal(0, strength * n, ROWS) if strength else random.normal(0, 0.2, ROWS)
        for n in (noise_first, 1.0)
    ]
    return {name: oof(sigmoid(score / 2), up) for name, score in zip(("first", "second"), noisy, strict=True)}, up


def test_two_partial_views_together_beat_each_alone() -> None:
    members, up = two_views(strength=0.6, seed=1)
    stack = fit_stack(members, settings=SETTINGS)
    together = auc(stack.oof["probability"].to_numpy(), up)
    assert together > max(auc(frame["probability"].to_numpy(), up) for frame in members.values()) + 0.01
    assert stack.weights[0].rows == ROWS
    assert all(coefficient > 0.3 for coefficient in stack.weights[0].coefficients)


def test_a_member_of_pure_noise_gets_almost_no_weight() -> None:
    members, up = two_views(strength=0.6, seed=2)
    random = np.random.default_rng(3)
    members["second"] = oof(sigmoid(random.normal(0, 0.6, ROWS)), up)
    first, second = fit_stack(members, settings=SETTINGS).weights[0].coefficients
    assert abs(second) < 0.15 * first


def test_members_without_skill_make_a_stack_without_skill() -> None:
    members, up = two_views(strength=0.0, seed=4)
    stack = fit_stack(members, settings=SETTINGS)
    score = stack.oof["probability"].to_numpy()
    resamples = WeeklyResamples.of(stack.oof["decision_time"].to_numpy(), samples=300, seed=5)
    estimate = resamples.estimate(auc(score, up), resamples.auc(score, up))
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= 0.5 <= estimate.high


def test_no_window_learns_from_its_own_or_a_later_outcome() -> None:
    """Outcomes of the last window are turned round: no forecast of the stack may move."""
    members, up = two_views(strength=0.6, seed=6)
    before = fit_stack(members, settings=SETTINGS).oof
    last = np.arange(ROWS) >= ROWS - WINDOW
    turned = {name: oof(frame["probability"].to_numpy(), np.where(last, 1 - up, up)) for name, frame in members.items()}
    after = fit_stack(turned, settings=SETTINGS).oof
    assert after["probability"].to_list() == before["probability"].to_list()
    # the embargo: the newest rows before a window teach it nothing either
    edge = (np.arange(ROWS) >= ROWS - WINDOW - SETTINGS.embargo_hours - 5) & ~last
    turned = {name: oof(frame["probability"].to_numpy(), np.where(edge, 1 - up, up)) for name, frame in members.items()}
    assert fit_stack(turned, settings=SETTINGS).oof["probability"].to_list() == before["probability"].to_list()
    wider = (np.arange(ROWS) >= ROWS - WINDOW - 500) & ~last
    turned = {
        name: oof(frame["probability"].to_numpy(), np.where(wider, 1 - up, up)) for name, frame in members.items()
    }
    assert fit_stack(turned, settings=SETTINGS).oof["probability"].to_list() != before["probability"].to_list()


def test_few_rows_leave_the_mean_of_the_logits() -> None:
    random = np.random.default_rng(7)
    logits = random.normal(0, 1, (900, 2))
    weights = fit_weights(logits, (logits[:, 0] > 0).astype(float), names=("a", "b"), horizon_hours=5)
    assert weights.coefficients == (0.5, 0.5)
    assert weights.intercept == 0.0


def test_with_many_rows_the_fit_is_that_of_scikit_learn() -> None:
    """The ridge vanishes beside the data; what is left is plain logistic regression."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(8)
    logits = random.normal(0, 1, (60_000, 2))
    up = (random.random(60_000) < sigmoid(logits @ np.array([0.9, 0.2]) + 0.1)).astype(float)
    ours = fit_weights(logits, up, names=("a", "b"), horizon_hours=1)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits, up)
    assert ours.coefficients == pytest.approx(theirs.coef_[0], abs=0.12)
    assert abs(ours.coefficients[0] - 0.5) > 0.25, "the data moved the weights away from the prior"
    mean = np.array([0.5, 0.5])
    log_losses = [np.logaddexp(0, -(2 * up - 1) * (logits @ w)).mean() for w in (np.array(ours.coefficients), mean)]
    assert log_losses[0] < log_losses[1]


def test_only_hours_that_every_member_forecast_are_stacked() -> None:
    members, _ = two_views(strength=0.6, seed=9)
    members["second"] = members["second"].filter(pl.col("fold") > 0)
    stack = fit_stack(members, settings=SETTINGS)
    assert stack.oof.height == ROWS - WINDOW
    assert stack.weights[0].rows == ROWS - WINDOW


def test_one_member_is_no_stack_and_strangers_make_none() -> None:
    members, _ = two_views(strength=0.6, seed=10)
    with pytest.raises(ContractViolation, match="at least two members"):
        fit_stack({"first": members["first"]}, settings=SETTINGS)
    later = members["second"].with_columns(pl.col("decision_time") + pl.duration(days=9_000))
    with pytest.raises(ContractViolation, match="share no hour"):
        fit_stack({"first": members["first"], "second": later}, settings=SETTINGS)


def test_the_runtime_answers_what_the_training_side_fitted() -> None:
    from eth_pipeline.contracts.artifact import StackModel
    from eth_pipeline.signals.forecasting.forecast import stack_probability

    members, _ = two_views(strength=0.6, seed=11)
    weights = fit_stack(members, settings=SETTINGS).weights[0]
    model = StackModel(
        horizon_hours=5,
        algorithms=weights.algorithms,
        coefficients=weights.coefficients,
        intercept=weights.intercept,
        rows=weights.rows,
        long_threshold=0.6,
        short_threshold=0.4,
    )
    answer = stack_probability(model, {"first": 0.61, "second": 0.48})
    assert answer == pytest.approx(float(weights.apply(logit(np.array([[0.61, 0.48]])))[0]), abs=1e-12)
