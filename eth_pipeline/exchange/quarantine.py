"""Rows that may be written, and rows that may not, with the reason.

Belongs here: the split by contract. Does not belong: the rules (`contracts.tables`), repairing (`ingest`).
"""

import polars as pl

from eth_pipeline.contracts.table import TableContract

REASON = "broken_rule"


def split(contract: TableContract, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Good rows of `contract`, and bad rows with a text column `broken_rule`.

    Bad is a null where none may be, a number that is none, a broken rule, or a bar that does not start on the grid of
    its interval. NaN passes every rule that asks for more than something: polars orders it above all numbers.
    """
    needed = [column.name for column in contract.columns if not column.nullable]
    has_null = pl.any_horizontal(pl.col(needed).is_null())
    reason = pl.coalesce(
        pl.when(has_null).then(pl.lit("a value is missing")),
        *_infinite(contract),
        *[pl.when(~rule.expr).then(pl.lit(rule.name)) for rule in contract.rules],
        *([_off_grid()] if "open_time" in contract.schema else []),
        pl.lit(None, dtype=pl.String),
    )
    judged = rows.with_columns(reason.alias(REASON))
    if judged[REASON].null_count() == rows.height:
        return rows, judged.clear()
    is_good = pl.col(REASON).is_null()
    return judged.filter(is_good).drop(REASON), judged.filter(~is_good)


def _infinite(contract: TableContract) -> list[pl.Expr]:
    """One expression where the table has numbers that can be NaN or infinite."""
    floats = [name for name, dtype in contract.schema.items() if dtype == pl.Float64]
    if not floats:
        return []
    return [pl.when(~pl.all_horizontal(pl.col(floats).is_finite())).then(pl.lit("a number is NaN or infinite"))]


def _off_grid() -> pl.Expr:
    length = pl.col("close_time").dt.epoch("us") - pl.col("open_time").dt.epoch("us")
    is_off = pl.col("open_time").dt.epoch("us") % length != 0
    return pl.when((length > 0) & is_off).then(pl.lit("open_time is on the interval's grid"))
