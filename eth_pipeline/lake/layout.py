"""How the rows of a table lie in its files, and what its log says of them.

Belongs here: the size of row groups, what is kept about which column, the properties of a stored table. Does not
belong: commits (`commits`), merging files (`maintenance`).
"""

from functools import cache

import polars as pl
from deltalake import ColumnProperties, DeltaTable, WriterProperties

from eth_pipeline.contracts.table import TableContract

_LOGGED_COLUMNS = "delta.dataSkippingStatsColumns"
# Rows lie in the order of their key, and a reader skips row groups by their smallest and largest value. With one group
# per file the newest bars would cost what the whole history costs (`benchmarks/scaling.py`).
_ROW_GROUP = 16_384


def looked_for_by(table: TableContract) -> list[str]:
    """Columns whose smallest and largest values tell where rows are: key, instants, origin, unless they are in paths.

    Of every column, as Delta does by default, a signal's whole record would be in the log twice, 29 KB per hour.
    """
    instants = (name for name, dtype in table.schema.items() if isinstance(dtype, pl.Datetime))
    origin = ("provenance",) if "provenance" in table.schema else ()
    return [name for name in dict.fromkeys((*table.key, *instants, *origin)) if name not in table.partition_by]


@cache
def _writer(known: frozenset[str], texts: frozenset[str]) -> WriterProperties:
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=_ROW_GROUP,
        default_column_properties=ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE"),
        column_properties={
            name: ColumnProperties(
                dictionary_enabled=name in texts, statistics_enabled="CHUNK" if name in known else "NONE"
            )
            for name in known | texts
        },
    )


def writer(table: TableContract) -> WriterProperties:
    """How data files of `table` are written.

    Numbers get neither dictionary nor statistics: nobody looks for rows by them, and a row of features has hundreds.
    """
    texts = (name for name, dtype in table.schema.items() if dtype == pl.String)
    return _writer(frozenset(looked_for_by(table)), frozenset(texts))


def properties(table: TableContract) -> dict[str, str]:
    """Properties of a stored table."""
    return {_LOGGED_COLUMNS: ",".join(looked_for_by(table))}


def keep_properties(table: TableContract, delta: DeltaTable) -> None:
    """Give a stored table the properties of a new one: one written before 2026-11-23 logs 32 columns."""
    wanted = properties(table)
    if not wanted.items() <= delta.metadata().configuration.items():
        delta.alter.set_table_properties(wanted)
