"""The lake as it was at the end of an hour, while the next hour is already writing.

Belongs here: reading tables at remembered versions. Does not belong: what is looked for in them (`examination`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.lake.handles import Opened
from eth_pipeline.settings import Settings


class LakeAsItWas(Lake):
    """A lake that reads each table at one version; `turn_to` says at which.

    One that goes from hour to hour keeps its tables open: opening one anew reads its whole log, adding an
    hour's commits to an open one reads those.

    Args:
        settings: name the lake.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.lake_location, storage_options=settings.lake_store.options())
        self._versions: dict[str, int | None] = {}
        self._then: dict[str, Opened | None] = {}

    def turn_to(self, versions: Mapping[str, int | None], *, tables: Iterable[TableContract] = ()) -> None:
        """Read at these versions from now on.

        Args:
            versions: by table name; a table without a version had none, one that is not named cannot be read.
            tables: opened at once, before somebody adds to them.
        """
        self._versions, self._then = dict(versions), {}
        for table in tables:
            with self._borrowed(table):
                pass

    @contextmanager
    def _borrowed(self, table: TableContract, version: int | None = None) -> Iterator[Opened | None]:
        if version is not None:
            raise ValueError(f"{table.name} is read as it was at one moment; for version {version} use a `Lake`.")
        if table.name not in self._then:
            self._then[table.name] = self._opened(table, self._versions[table.name])
        yield self._then[table.name]

    def _opened(self, table: TableContract, version: int | None) -> Opened | None:
        """The table as it was at `version`: the one that is open, or another one where that has gone on already."""
        if version is None:
            return None
        with super()._borrowed(table) as newest:
            if newest is not None and newest.delta.version() == version:
                return newest
        with super()._borrowed(table, version) as opened:
            return opened
