"""Rows of one opened table.

Belongs here: the scan, and the predicate for the rows around others. Does not belong: which table, what is remembered
(`tables`).
"""

from collections.abc import Mapping

import polars as pl
from deltalake import DeltaTable

from eth_pipeline.contracts.table import TableContract


def rows_of(
    delta: DeltaTable, where: pl.Expr | None, schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    """Rows of a table as they lie in its files, with exactly this schema."""
    frame = pl.scan_delta(delta)
    if where is not None:
        frame = frame.filter(where)
    wanted = pl.Schema(schema)
    rows = frame.select(wanted.names()).collect()
    return rows if rows.schema == wanted else rows.cast(wanted)


def around(table: TableContract, rows: pl.DataFrame) -> pl.Expr:
    """Rows between the smallest and the largest key of `rows`."""
    where = pl.lit(True)
    for name in table.key:
        column = rows[name]
        low, high = column.min(), column.max()
        where = where & pl.col(name).is_between(pl.lit(low, column.dtype), pl.lit(high, column.dtype))
    return where
