"""Open Delta tables, kept by whoever reads several times: brought up to date instead of opened again.

Belongs here: opening, keeping, knowing that a kept one still is the table on disk. Does not belong: reading rows
(`tables`), writing them (`commits`).

An hour asks some 130 times for some 20 tables, and opening one reads its whole log. A kept table is used again only if
the log file of its version is the very file it was when the table was read, so that a folder that was deleted and
written anew is another table; and only after the newer versions, if there are any, were read. On an object store both
questions would be requests of their own: there every table is opened anew.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from eth_pipeline.lake.files import DataFiles
from eth_pipeline.lake.small_files import SmallFiles

Identity = tuple[int, int, int]
"""Inode, time of writing in ns and size of the log file that made a version: the same only for the same version."""


@dataclass(frozen=True)
class Opened:
    """A table as it stands now.

    Attributes:
        uri: where it lies.
        delta: the table.
        identity: of its version; None where that cannot be told, as on an object store.
        small: rows of small files that were read before.
    """

    uri: str
    delta: DeltaTable
    identity: Identity | None
    small: SmallFiles

    @cached_property
    def files(self) -> DataFiles | None:
        """Its data files, as of when it was lent; None where they cannot be read by their paths alone."""
        return None if self.identity is None else DataFiles.of(self.delta, folder=self.uri, small=self.small)


class Handles:
    """Tables of one store. A table is lent to one borrower at a time; a second one gets another handle.

    Args:
        options: endpoint, region and key of an object store.
        is_folder: whether tables are folders of this host.
    """

    def __init__(self, options: Mapping[str, str], *, is_folder: bool) -> None:
        self._options = dict(options)
        self._is_folder = is_folder
        self._kept: dict[str, Opened] = {}
        self._small = SmallFiles()

    @contextmanager
    def borrowed(self, uri: str, *, version: int | None = None) -> Iterator[Opened | None]:
        """The table at `uri`, newest or at `version`; None where there is none.

        A borrower who fails does not give the table back: nobody knows how far it got.
        """
        opened = self._renewed(uri, self._kept.pop(uri, None))
        if opened is None or (version is not None and opened.delta.version() != version):
            opened = self._open(uri, version)
        yield opened
        if opened is not None and version is None and (identity := self._identity(uri, opened.delta)) is not None:
            self._kept[uri] = opened if opened.identity == identity else self._opened(uri, opened.delta)

    def _open(self, uri: str, version: int | None) -> Opened | None:
        try:
            delta = DeltaTable(uri, version=version, storage_options=self._options or None)
        except TableNotFoundError:
            return None
        return self._opened(uri, delta)

    def _opened(self, uri: str, delta: DeltaTable) -> Opened:
        return Opened(uri, delta, self._identity(uri, delta), self._small)

    def _renewed(self, uri: str, kept: Opened | None) -> Opened | None:
        """A kept table with every newer version; None where it is not the table on disk any more."""
        if kept is None or self._identity(uri, kept.delta) != kept.identity:
            return None
        if not _log_file(uri, kept.delta.version() + 1).exists():
            return kept
        try:
            kept.delta.update_incremental()
        except (DeltaError, OSError):
            return None
        return self._opened(uri, kept.delta)

    def _identity(self, uri: str, delta: DeltaTable) -> Identity | None:
        if not self._is_folder:
            return None
        try:
            stat = _log_file(uri, delta.version()).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _log_file(uri: str, version: int) -> Path:
    return Path(uri) / "_delta_log" / f"{version:020d}.json"
