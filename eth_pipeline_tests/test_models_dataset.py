"""Tests of eth_pipeline.models.dataset."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.errors import ContractViolation, ProvenanceMismatch
from eth_pipeline.models.dataset import TrainingSet, make_training_set

START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ("a", "b")


def features(hours: int = 6, **changed: object) -> pl.DataFrame:
    times = [START + timedelta(hours=hour) for hour in range(hours)]
    columns = {
        "symbol": ["ETHUSDT"] * hours,
        "decision_time": times,
        "provenance": ["simulated"] * hours,
        "coverage": [1.0] * hours,
        "a": [float(hour) for hour in range(hours)],
        "b": [None, *[1.0] * (hours - 1)],
    }
    frame = pl.DataFrame(columns | changed)
    return frame.with_columns(pl.col("decision_time").cast(pl.Datetime("us", "UTC")), pl.col("a", "b").cast(pl.Float32))


def labels(hours: int = 6, horizon: int = 5) -> pl.DataFrame:
    times = [START + timedelta(hours=hour) for hour in range(hours)]
    known = hours - 2
    return pl.DataFrame(
        {
            "decision_time": times,
            f"forward_return_{horizon}h": [0.01] * known + [None, None],
            f"up_{horizon}h": pl.Series([1] * known + [None, None], dtype=pl.Int8),
            f"label_end_{horizon}h": [time + timedelta(hours=horizon) for time in times],
            f"late_return_{horizon}h": [0.02] * (known - 1) + [None] * 3,
        },
    ).with_columns(pl.col("decision_time", f"label_end_{horizon}h").cast(pl.Datetime("us", "UTC")))


def made(frame: pl.DataFrame, outcome: pl.DataFrame | None = None) -> TrainingSet:
    outcome = labels() if outcome is None else outcome
    return make_training_set(frame, outcome, feature_names=NAMES, horizons_hours=(5,))


def test_a_missing_feature_becomes_nan_and_drops_no_row() -> None:
    """A part-covered source silently dropped 7,000 rows in the reviewed system."""
    data = made(features())
    assert data.features.shape == (6, 2)
    assert data.features.dtype == np.float32
    assert np.isnan(data.features[0, 1])
    assert data.coverage() == {"a": 1.0, "b": pytest.approx(5 / 6)}


def test_an_unknown_outcome_is_nan_and_never_a_zero() -> None:
    """NaN compared into a label 0 taught the reviewed system that the newest hours always fall."""
    target = made(features()).targets[5]
    assert np.isnan(target.up[-2:]).all()
    assert target.labelled.tolist() == [True] * 4 + [False] * 2
    assert np.isnan(target.late_return[3])


def test_rows_without_any_label_row_stay_unlabelled() -> None:
    data = made(features(), labels(hours=4))
    assert len(data.decision_time) == 6
    assert np.isnat(data.targets[5].label_end[4:]).all()


def test_rows_come_out_in_time_order() -> None:
    shuffled = features().sample(fraction=1.0, shuffle=True, seed=3)
    assert made(shuffled).digest() == made(features()).digest()


def test_the_digest_changes_with_any_value() -> None:
    changed = features(a=[0.0, 1.0, 2.0, 3.0, 4.0, 5.5])
    assert made(changed).digest() != made(features()).digest()
    moved = labels().with_columns(pl.col("late_return_5h") + 1e-9)
    assert made(features(), moved).digest() != made(features()).digest()


def test_rows_of_two_origins_are_refused() -> None:
    mixed = features(provenance=["simulated"] * 5 + ["binance"])
    with pytest.raises(ProvenanceMismatch, match="one origin"):
        made(mixed)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (features().drop("b"), "columns missing"),
        (features(symbol=["ETHUSDT"] * 5 + ["BTCUSDT"]), "exactly one"),
        (features(a=[0.0, 1.0, 2.0, 3.0, 4.0, float("inf")]), "infinite"),
        (pl.concat([features(), features()]), "twice"),
    ],
)
def test_a_table_that_breaks_the_promise_is_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(ContractViolation, match=message):
        made(frame)


def test_a_label_that_ends_before_its_decision_is_refused() -> None:
    """Purging trusts label_end; a wrong one would be a leak."""
    wrong = labels().with_columns(label_end_5h=pl.col("decision_time"))
    with pytest.raises(ContractViolation, match="label_end_5h"):
        made(features(), wrong)
