"""The as-of join: what was known at an instant, and for how long it counts."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.features.asof import asof_join, in_order_known

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)


def hour(count: float) -> datetime:
    return BEGIN + timedelta(hours=count)


def joined(
    at: list[float], rows: list[tuple[float, float, float | None]], *, max_age_hours: float
) -> list[float | None]:
    """Values found at hours `at` among rows (data time, available at, value)."""
    left = pl.DataFrame({"decision_time": pl.Series([hour(h) for h in at], dtype=INSTANT)})
    right = pl.DataFrame(
        {
            "period_end": pl.Series([hour(r[0]) for r in rows], dtype=INSTANT),
            "available_at": pl.Series([hour(r[1]) for r in rows], dtype=INSTANT),
            "value": pl.Series([r[2] for r in rows], dtype=pl.Float64),
        }
    )
    out = asof_join(left, right, data_time="period_end", max_age=timedelta(hours=max_age_hours), columns={"value": "v"})
    assert out.columns == ["decision_time", "v"]
    return out["v"].to_list()


def test_a_row_counts_from_the_instant_it_was_known() -> None:
    assert joined([1, 2, 3], [(1, 2, 10.0)], max_age_hours=9) == [None, 10.0, 10.0]


def test_a_row_older_than_the_maximum_age_is_missing() -> None:
    assert joined([4, 5, 6], [(1, 1, 10.0)], max_age_hours=4) == [10.0, 10.0, None]


def test_age_is_measured_on_data_time_not_on_publication() -> None:
    """Indicators that were 24 hours old looked fresh because they had just been downloaded."""
    assert joined([24], [(0, 24, 10.0)], max_age_hours=9) == [None]


def test_a_repair_that_arrives_after_newer_rows_is_history_not_news() -> None:
    rows = [(1, 1, 10.0), (3, 3, 30.0), (2, 5, 20.0)]
    assert joined([4, 5, 6], rows, max_age_hours=9) == [30.0, 30.0, 30.0]


def test_of_rows_known_at_one_instant_the_newest_counts() -> None:
    assert joined([5], [(3, 5, 30.0), (4, 5, 40.0), (2, 5, 20.0)], max_age_hours=9) == [40.0]


def test_with_no_age_allowed_the_row_is_of_that_instant_or_missing() -> None:
    assert joined([1, 2, 3], [(1, 1, 10.0), (3, 3, 30.0)], max_age_hours=0) == [10.0, None, 30.0]


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_newest_value_does_not_fall_back_to_an_older_one(value: float | None) -> None:
    assert joined([3], [(1, 1, 10.0), (2, 2, value)], max_age_hours=9) == [None]


def test_no_rows_give_nulls() -> None:
    assert joined([1, 2], [], max_age_hours=9) == [None, None]


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws slowly; that is no finding
@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=12, unique_by=lambda r: r[0]),
    max_age_hours=st.integers(0, 8),
)
def test_it_agrees_with_a_search_through_all_rows(rows: list[tuple[int, int]], max_age_hours: int) -> None:
    table = [(float(t), float(t + delay), 100.0 + t) for t, delay in rows]
    at = [float(h) for h in range(25)]
    expected: list[float | None] = []
    for now in at:
        known = [row for row in table if row[1] <= now]
        newest = max(known, default=None)
        fresh = newest is not None and now - newest[0] <= max_age_hours
        expected.append(newest[2] if newest is not None and fresh else None)
    assert joined(at, table, max_age_hours=max_age_hours) == expected


def test_rows_in_order_are_taken_as_they_are() -> None:
    """Sorting complete history again took a third of the time of all features."""
    times = pl.Series([hour(1), hour(2), hour(3)], dtype=INSTANT)
    rows = pl.DataFrame({"available_at": times, "period_end": times})
    assert in_order_known(rows, "period_end") is rows
    assert in_order_known(rows.reverse(), "period_end").equals(rows)
