"""Rows that may be written, and rows that may not, with the reason.

Belongs here: the split by contract. Does not belong: the rules (`contracts.tables`), repairing (`exchange.ingest`).
"""

import polars as pl

from eth_pipeline.contracts.table import TableContract

REASON = "broken_rule"


def split(contract: TableContract, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Good rows of `contract`, and bad rows with a text column `broken_rule`.

    Bad is a null where none may be, a number that is none, a broken rule, or a bar that does not start on the grid of
    its interval. NaN passes every rule that asks for more than something: polars orders it above all numbers.
    """
    faults = _faults(contract)
    if not rows.select(pl.any_horizontal(faults.values()).any()).item():
        return rows, rows.clear().insert_column(rows.width, pl.Series(REASON, [], dtype=pl.String))
    reason = pl.coalesce(pl.when(is_bad).then(pl.lit(name)) for name, is_bad in faults.items())
    judged = rows.with_columns(reason.alias(REASON))
    is_good = pl.col(REASON).is_null()
    return judged.filter(is_good).drop(REASON), judged.filter(~is_good)


def _faults(contract: TableContract) -> dict[str, pl.Expr]:
    """What makes a row a bad one, the first that applies names it."""
    needed = [column.name for column in contract.columns if not column.nullable]
    floats = [name for name, dtype in contract.schema.items() if dtype == pl.Float64]
    return {
        "a value is missing": pl.any_horizontal(pl.col(needed).is_null()),
        **({"a number is NaN or infinite": ~pl.all_horizontal(pl.col(floats).is_finite())} if floats else {}),
        **{rule.name: ~rule.expr for rule in contract.rules},
        **({"open_time is on the interval's grid": _off_grid()} if "open_time" in contract.schema else {}),
    }


def _off_grid() -> pl.Expr:
    length = pl.col("close_time").dt.epoch("us") - pl.col("open_time").dt.epoch("us")
    return (length > 0) & (pl.col("open_time").dt.epoch("us") % length != 0)
