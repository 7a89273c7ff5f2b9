"""The lake as it was at the end of an hour, while the next hour is already writing.

Belongs here: reading tables at remembered versions. Does not belong: what is looked for in them (`examination`).
"""

from collections.abc import Mapping

import polars as pl

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings


class LakeAsItWas(Lake):
    """A lake that reads each table at one version.

    Args:
        settings: name the lake.
        versions: by table name; a table without a version had none.
    """

    def __init__(self, settings: Settings, versions: Mapping[str, int | None]) -> None:
        super().__init__(settings.lake_location, storage_options=settings.lake_store.options())
        self._versions = dict(versions)

    def read(
        self,
        table: TableContract,
        *,
        where: pl.Expr | None = None,
        columns: list[str] | None = None,
        version: int | None = None,
        ordered: bool = True,
    ) -> pl.DataFrame:
        """As `Lake.read`, of the version of then; a table that was not remembered is an error of the caller."""
        at = self._versions[table.name] if version is None else version
        if at is None:
            return table.empty().select(list(table.schema) if columns is None else columns)
        return super().read(table, where=where, columns=columns, version=at, ordered=ordered)
