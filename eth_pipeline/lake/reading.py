"""Rows of one opened table.

Belongs here: reading them, and the predicate for the rows around others. Does not belong: which table, what is
remembered (`tables`).
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from eth_pipeline.contracts.table import INSTANT, TableContract, at
from eth_pipeline.lake.handles import Opened


def rows_of(
    opened: Opened, where: pl.Expr | None, schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    """Rows of a table as they lie in its files, with exactly this schema."""
    rows = opened.scan(where).select(pl.col(list(schema))).collect()
    return rows if rows.dtypes == list(schema.values()) else rows.cast(pl.Schema(schema))


def around(table: TableContract, rows: pl.DataFrame) -> pl.Expr:
    """Rows between the smallest and the largest key of `rows`."""
    where = pl.lit(True)
    for name in table.key:
        column = rows[name]
        where = where & pl.col(name).is_between(
            _literal(column.min(), column.dtype), _literal(column.max(), column.dtype)
        )
    return where


def _literal(value: Any, dtype: pl.DataType) -> pl.Expr:
    return at(value) if dtype == INSTANT else pl.lit(value, dtype)
