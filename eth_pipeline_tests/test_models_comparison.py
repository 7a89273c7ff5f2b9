"""Tests of eth_pipeline.models.figures.comparison: paired, on the hours that both forecast."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from eth_pipeline.models.figures.comparison import compare_members
from eth_pipeline.settings import TrainingSettings

BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
SETTINGS = TrainingSettings(bootstrap_samples=100)


def oof(probability: np.ndarray, up: np.ndarray, *, first: int = 0) -> pl.DataFrame:
    hours = [BEGIN + timedelta(hours=first + n) for n in range(len(up))]
    return pl.DataFrame({"decision_time": hours, "horizon_hours": 5, "probability": probability, "up": up})


def test_figures_are_of_the_common_hours_and_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    up = (random.random(5_000) < 0.5).astype(np.int8)
    ours, theirs = (np.clip(0.5 + s * (up - 0.5) + random.normal(0, 0.1, 5_000), 0.01, 0.99) for s in (0.02, 0.06))
    (figure,) = compare_members(
        oof(ours, up), {"lstm": oof(theirs[1_000:], up[1_000:], first=1_000)}, settings=SETTINGS
    )
    assert (figure.algorithm, figure.horizon_hours, figure.rows) == ("lstm", 5, 4_000)
    assert figure.auc.value == pytest.approx(roc_auc_score(up[1_000:], theirs[1_000:]))
    difference = roc_auc_score(up[1_000:], theirs[1_000:]) - roc_auc_score(up[1_000:], ours[1_000:])
    assert figure.auc_minus_primary.value == pytest.approx(difference)
    assert figure.auc_minus_primary.low is not None
    assert figure.auc_minus_primary.low > 0
    assert figure.log_loss == pytest.approx(log_loss(up[1_000:], theirs[1_000:]))
    assert figure.log_loss_primary == pytest.approx(log_loss(up[1_000:], ours[1_000:]))


def test_a_member_is_never_better_than_itself() -> None:
    random = np.random.default_rng(2)
    up = (random.random(3_000) < 0.5).astype(np.int8)
    same = oof(random.uniform(0.3, 0.7, 3_000), up)
    (figure,) = compare_members(same, {"twin": same}, settings=SETTINGS)
    difference = figure.auc_minus_primary
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_too_few_common_hours_say_nothing() -> None:
    up = np.tile(np.array([0, 1], dtype=np.int8), 500)
    first, later = oof(np.full(1_000, 0.5), up), oof(np.full(1_000, 0.5), up, first=980)
    assert compare_members(first, {"lstm": later}, settings=SETTINGS) == ()
