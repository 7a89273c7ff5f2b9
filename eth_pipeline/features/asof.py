"""The as-of join: what was known at an instant. The only way source rows reach a feature or a grid.

Belongs here: the backward join on `available_at` with a maximum age. Does not belong: what the rows mean.
"""

import math
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray


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
    news = in_order_known(right, data_time)
    instants = left[at].to_numpy()
    rows = np.searchsorted(news["available_at"].to_numpy(), instants, side="right") - 1
    fresh = rows >= 0
    fresh[fresh] = instants[fresh] - news[data_time].to_numpy()[rows[fresh]] <= np.timedelta64(max_age)
    picked = _picked(news[list(columns)], rows, fresh)
    return left.hstack([_without_nan(values).alias(columns[values.name]) for values in picked.get_columns()])


def _picked(news: pl.DataFrame, rows: NDArray[np.intp], fresh: NDArray[np.bool_]) -> pl.DataFrame:
    """`rows` of `news`, nulls where not `fresh`; bars without a hole follow one another and are not copied."""
    if not fresh.all():
        picked = pl.Series(np.where(fresh, rows, news.height))
        return news.select(pl.all().gather(picked, null_on_oob=True))
    if len(rows) and (np.diff(rows) == 1).all():
        return news.slice(rows[0], len(rows))
    return news[rows]


def _without_nan(values: pl.Series) -> pl.Series:
    """NaN to null; a sum that is a number has none in it, and is had for a tenth of the search's price."""
    if not values.dtype.is_float() or math.isfinite(values.sum()):
        return values
    return values.fill_nan(None)


def in_order_known(rows: pl.DataFrame, data_time: str) -> pl.DataFrame:
    """Rows of one symbol in the order in which they were known, without those that a newer row overtook.

    Complete history is in that order already: seeing so costs a hundredth of sorting it.
    """
    if rows["available_at"].null_count() or rows[data_time].null_count():
        rows = rows.drop_nulls(["available_at", data_time])
    if rows["available_at"].is_sorted() and rows[data_time].is_sorted():
        return rows
    return rows.sort("available_at", data_time).filter(pl.col(data_time) >= pl.col(data_time).cum_max())
