"""Times as the exchange publishes them, refused where they can be no time.

Belongs here: epoch numbers and labels to instants, and the range they must lie in. Does not belong: what an instant
means (open, end of a period, settlement), rounding, row rules.

Beyond the range nothing fails by itself: an epoch number that is too large wraps to another year when it is multiplied,
and Python's datetime raises where the column is read much later.
"""

from datetime import UTC, datetime
from typing import Literal

import polars as pl

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.errors import ContractViolation

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)
_UNIT_US = {"ms": 1000, "us": 1}


def instants(epochs: pl.Series, unit: Literal["ms", "us"], *, where: str) -> pl.Series:
    """Epoch numbers, Int64, as instants; null stays null.

    Raises:
        ContractViolation: a number lies before `EARLIEST`, or at or after `END`.
    """
    unit_us = _UNIT_US[unit]
    last = int(END.timestamp()) * (1_000_000 // unit_us)
    _require_none((epochs < 0) | (epochs >= last), epochs, where=where)
    return (epochs * unit_us).cast(INSTANT)


def labels(texts: pl.Series, *, where: str) -> pl.Series:
    """`YYYY-MM-DD HH:MM:SS`, UTC, as instants; null stays null.

    Raises:
        ContractViolation: a text is no such label, or lies outside of `EARLIEST` .. `END`.
    """
    try:
        found = texts.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise ContractViolation(
            f"{where}: a label is no `YYYY-MM-DD HH:MM:SS` ({error}). The file was not used; its rows are asked for "
            "through the other door."
        ) from error
    _require_none((found < EARLIEST) | (found >= END), texts, where=where)
    return found


def _require_none(outside: pl.Series, published: pl.Series, *, where: str) -> None:
    if outside.any():
        first = published.filter(outside)[0]
        raise ContractViolation(
            f"{where}: {int(outside.sum())} of {len(published)} timestamps lie outside of {EARLIEST:%Y} .. {END:%Y}, "
            f"the first is {first}. Nothing of it was used; its rows are asked for through the other door."
        )
