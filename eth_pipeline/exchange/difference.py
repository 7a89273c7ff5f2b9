"""New rows against the stored ones: what the lake lacks, and what it has with other values.

Belongs here: that comparison, of all symbols together. Does not belong: reading and writing (`lake`), events
(`exchange.doubts.findings`).
"""

from dataclasses import dataclass

import polars as pl

from eth_pipeline.contracts.table import TableContract

_ORIGIN_COLUMNS = ("available_at", "source", "provenance")


@dataclass(frozen=True)
class Difference:
    """Rows that are worth writing.

    Attributes:
        fresh: rows whose key is not stored.
        revised: rows that contradict the stored one of their key; what they do not know is taken from it.
    """

    fresh: pl.DataFrame
    revised: pl.DataFrame

    @property
    def rows(self) -> pl.DataFrame:
        """Both."""
        return pl.concat([self.fresh, self.revised])


def difference(contract: TableContract, new: pl.DataFrame, known: pl.DataFrame) -> Difference:
    """What `new` says beyond `known`.

    A stored row stays as it is when only its door differs, or where the new one merely knows less.

    Args:
        contract: of both.
        new: rows with keys of their own.
        known: the stored rows of those keys; more do no harm.
    """
    fresh = new.join(known, on=list(contract.key), how="anti")
    if fresh.height == new.height:
        return Difference(fresh, new.clear())
    values = [name for name in contract.schema if name not in (*contract.key, *_ORIGIN_COLUMNS)]
    differs = pl.any_horizontal(
        pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_stored")) for name in values
    )
    revised = new.join(known, on=list(contract.key), how="inner", suffix="_stored").filter(differs)
    completed = [pl.coalesce(name, f"{name}_stored").alias(name) for name in values]
    return Difference(fresh, revised.with_columns(completed).select(list(contract.schema)))
