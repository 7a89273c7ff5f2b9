"""Where the decision hour lies in the day, in the week, and before the next expiry, UTC.

Belongs here: what the calendar alone tells. Does not belong: the funding schedule (`funding`).

Options expire every Friday at 08:00, quarterly futures at 08:00 of the last Friday of March, June, September and
December (Binance and Deribit alike). In the hour of an expiry its distance is zero.
"""

import math
from datetime import timedelta

import polars as pl

from eth_pipeline.features.definition import Family, Feature

c = pl.col
EXPIRY_HOUR = 8
_FRIDAY = 5
_HOURS_OF_WEEK = 7 * 24


def family() -> Family:
    """All features of this family."""
    shared = (
        c("decision_time").dt.hour().cast(pl.Float64).alias("hour_of_day"),
        (c("decision_time").dt.weekday().cast(pl.Float64) - 1).alias("day_of_week"),
        c("decision_time").dt.truncate("1q").alias("quarter_start"),
    )
    hour, weekday = c("hour_of_day"), c("day_of_week")
    day, week = 2 * math.pi / 24, 2 * math.pi / 7
    features = (
        Feature("hour", hour, "hours", "Hour of the day, 0..23."),
        Feature("hour_sin", (hour * day).sin(), "share", "Sine of the hour of the day."),
        Feature("hour_cos", (hour * day).cos(), "share", "Cosine of the hour of the day."),
        Feature("weekday_sin", (weekday * week).sin(), "share", "Sine of the day of the week."),
        Feature("weekday_cos", (weekday * week).cos(), "share", "Cosine of the day of the week."),
        Feature("is_weekend", (weekday >= 5).cast(pl.Float64), "flag", "1 on Saturday and Sunday."),
        Feature("hours_to_weekly_expiry", _to_weekly_expiry(), "hours", "Hours to the next Friday 08:00."),
        Feature(
            "hours_to_quarterly_expiry",
            _to_quarterly_expiry(),
            "hours",
            "Hours to the next last Friday of a quarter, 08:00.",
        ),
    )
    return Family("seasonality", features, shared)


def _to_weekly_expiry() -> pl.Expr:
    of_week = 24 * c("day_of_week") + c("hour_of_day")
    return (24 * (_FRIDAY - 1) + EXPIRY_HOUR - of_week) % _HOURS_OF_WEEK


def _to_quarterly_expiry() -> pl.Expr:
    this, following = (_hours_to_end_of_quarter(quarters) for quarters in (1, 2))
    return pl.when(this >= 0).then(this).otherwise(following)


def _hours_to_end_of_quarter(quarters: int) -> pl.Expr:
    """Hours to the last Friday before the `quarters`-th quarter boundary from the decision time; may be past."""
    last_day = c("quarter_start").dt.offset_by(f"{3 * quarters}mo") - timedelta(days=1)
    days_after_friday = (last_day.dt.weekday().cast(pl.Int64) - _FRIDAY) % 7
    hours = (last_day - c("decision_time")).dt.total_hours() - 24 * days_after_friday + EXPIRY_HOUR
    return hours.cast(pl.Float64)
