"""Where the decision hour lies in the day and the week, UTC.

Belongs here: what the calendar alone tells. Does not belong: the funding schedule (`funding`).
"""

import math

import polars as pl

from eth_pipeline.features.definition import Family, Feature


def family() -> Family:
    """All features of this family."""
    hour = pl.col("decision_time").dt.hour().cast(pl.Float64)
    weekday = pl.col("decision_time").dt.weekday().cast(pl.Float64) - 1
    day, week = 2 * math.pi / 24, 2 * math.pi / 7
    return Family(
        "seasonality",
        (
            Feature("hour", hour, "hours", "Hour of the day, 0..23."),
            Feature("hour_sin", (hour * day).sin(), "share", "Sine of the hour of the day."),
            Feature("hour_cos", (hour * day).cos(), "share", "Cosine of the hour of the day."),
            Feature("weekday_sin", (weekday * week).sin(), "share", "Sine of the day of the week."),
            Feature("weekday_cos", (weekday * week).cos(), "share", "Cosine of the day of the week."),
            Feature("is_weekend", (weekday >= 5).cast(pl.Float64), "flag", "1 on Saturday and Sunday."),
        ),
    )
