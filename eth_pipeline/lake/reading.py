"""Rows of one opened table.

Belongs here: reading them, and the predicate for the rows around others. Does not belong: which table, what is
remembered (`tables`).
"""

from collections.abc import Mapping

import polars as pl

from eth_pipeline.contracts.table import TableContract
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
        low, high = column.min(), column.max()
        where = where & pl.col(name).is_between(pl.lit(low, column.dtype), pl.lit(high, column.dtype))
    return where
