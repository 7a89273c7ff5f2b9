"""Rows of one opened table.

Belongs here: the scan, and the predicate for the rows around others. Does not belong: which table, what is remembered
(`tables`).
"""

from collections.abc import Mapping

import polars as pl

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake.handles import Opened


def rows_of(
    opened: Opened, where: pl.Expr | None, schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    """Rows of a table as they lie in its files, with exactly this schema."""
    rows = scan(opened, where).select(pl.col(list(schema))).collect()
    return rows if rows.dtypes == list(schema.values()) else rows.cast(pl.Schema(schema))


def scan(opened: Opened, where: pl.Expr | None) -> pl.LazyFrame:
    """The rows that match, from the files that may hold any."""
    if opened.files is not None:
        return opened.files.scan(where)
    frame = pl.scan_delta(opened.delta)
    return frame if where is None else frame.filter(where)


def around(table: TableContract, rows: pl.DataFrame) -> pl.Expr:
    """Rows between the smallest and the largest key of `rows`."""
    where = pl.lit(True)
    for name in table.key:
        column = rows[name]
        low, high = column.min(), column.max()
        where = where & pl.col(name).is_between(pl.lit(low, column.dtype), pl.lit(high, column.dtype))
    return where
