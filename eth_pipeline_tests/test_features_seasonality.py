"""The calendar: clock, week, and hours to the next expiry, against Python's own calendar."""

import calendar
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.features.families.seasonality import family

HOUR = timedelta(hours=1)
BEGIN = datetime(2023, 11, 20, tzinfo=UTC)
TIMES = [BEGIN + i * HOUR for i in range(24 * 500)]


def features(times: list[datetime]) -> pl.DataFrame:
    seasonality = family()
    frame = pl.DataFrame({"decision_time": pl.Series(times, dtype=INSTANT)}).with_columns(seasonality.shared)
    return frame.select(feature.expr.alias(feature.name) for feature in seasonality.features)


ROWS = features(TIMES)


def quarterly_expiries() -> list[datetime]:
    found = []
    for year in (2023, 2024, 2025):
        for month in (3, 6, 9, 12):
            weeks = calendar.monthcalendar(year, month)
            friday = max(week[calendar.FRIDAY] for week in weeks)
            found.append(datetime(year, month, friday, 8, tzinfo=UTC))
    return found


def test_hours_to_the_quarterly_expiry_follow_the_calendar() -> None:
    expiries = quarterly_expiries()
    expected = [min(e - time for e in expiries if e >= time) / HOUR for time in TIMES]
    assert ROWS["hours_to_quarterly_expiry"].to_list() == expected


def test_hours_to_the_weekly_expiry_count_down_to_friday_morning() -> None:
    for time, hours in zip(TIMES, ROWS["hours_to_weekly_expiry"], strict=True):
        expiry = time + hours * HOUR
        assert (expiry.weekday(), expiry.hour) == (calendar.FRIDAY, 8)
        assert 0 <= hours < 168


@pytest.mark.parametrize(
    ("time", "weekly", "quarterly"),
    [
        (datetime(2024, 6, 28, 8, tzinfo=UTC), 0, 0),
        (datetime(2024, 6, 28, 9, tzinfo=UTC), 167, 91 * 24 - 1),
        (datetime(2024, 12, 27, 9, tzinfo=UTC), 167, 91 * 24 - 1),
        (datetime(2025, 1, 1, 0, tzinfo=UTC), 56, 86 * 24 + 8),
    ],
)
def test_an_expiry_is_zero_hours_away_and_then_the_next_one_counts(
    time: datetime, weekly: float, quarterly: float
) -> None:
    row = features([time])
    assert row["hours_to_weekly_expiry"].item() == weekly
    assert row["hours_to_quarterly_expiry"].item() == quarterly


def test_hour_and_weekend_are_utc() -> None:
    row = features([datetime(2024, 6, 29, 23, tzinfo=UTC)])
    assert row["hour"].item() == 23
    assert row["is_weekend"].item() == 1.0
    assert features([datetime(2024, 6, 28, 23, tzinfo=UTC)])["is_weekend"].item() == 0.0
