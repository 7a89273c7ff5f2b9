"""The as-of join: what was known at an instant. The only way source rows reach a feature or a grid.

Belongs here: the backward join on `available_at` with a maximum age. Does not belong: what the rows mean.
"""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl


def asof_join(
    left: pl.DataFrame,
    right: pl.DataFrame,
    *,
    at: str = "decision_time",
    data_time: str,
    max_age: timedelta,
    columns: Mapping[str, str],
) -> pl.DataFrame:
    """Give every row of `left` the newest row of `right` known at its instant `at`.

    A row of `right` counts from its `available_at` on. A row that arrives after a newer one (a repair) is
    history, not news, and is never picked. Age is measured on data time, so an old row that was published
    late does not look fresh.

    Args:
        left: any frame with the instant column `at`, ascending.
        right: rows of ONE symbol with `available_at` and `data_time`.
        at: name of the instant column of `left`.
        data_time: the instant a row of `right` describes: `close_time`, `period_end`, `funding_time`.
        max_age: rows with `at - data_time` above this give null; zero means "exactly this instant or null".
        columns: column of `right` to its new name in the result; NaN becomes null.

    Returns:
        `left` with the new columns, same rows, same order.
    """
    known = (
        right.lazy()
        .select("available_at", pl.col(data_time).alias("_data_time"), *columns)
        .drop_nulls(["available_at", "_data_time"])
        .sort("available_at", "_data_time")
        .filter(pl.col("_data_time") >= pl.col("_data_time").cum_max())
        .rename({"available_at": "_available_at", **columns})
        .with_columns(pl.col(pl.Float64).fill_nan(None))
    )
    fresh = pl.col(at) - pl.col("_data_time") <= max_age
    return (
        left.lazy()
        .join_asof(known, left_on=at, right_on="_available_at", check_sortedness=False, coalesce=False)
        .with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in columns.values())
        .drop("_data_time", "_available_at")
        .collect()
    )
