"""Rows of small data files, read once by a process and kept.

Belongs here: which files are kept, and how much of them. Does not belong: which files an answer needs (`files`), whole
answers (`remembered`). A data file never changes: Delta gives every one a name of its own and only ever deletes it. One
that something else changed or removed is read again, so that damage shows.

Every hour adds a file per table and symbol, until the night merges them: by its end some hundred files of a few rows
hold what one question asks for, and opening each of them anew is what such a question would cost.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

SMALL_FILE_BYTES = 128 * 2**10
"""A file up to this is small: the rows of some hours or days."""
_KEPT_BYTES = 64 * 2**20
_PATH = "path of the file"

Columns = Mapping[str, pl.DataType]
AsItIs = tuple[str, int, int]
"""A file: path, time of writing in ns, bytes."""


class _Kept(NamedTuple):
    rows: pl.DataFrame
    columns: list[str]
    bytes: float


class SmallFiles:
    """Rows of the small files that were asked for last, up to 64 MiB of them; safe among threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[AsItIs, _Kept] = OrderedDict()
        self._bytes = 0.0
        self._lock = threading.Lock()

    def rows(self, paths: Sequence[str], *, stored: Columns, partitions: Columns) -> list[pl.DataFrame]:
        """All rows of each file, in the order of `paths`; columns are `partitions`, then `stored`.

        Raises:
            OSError, polars.exceptions.PolarsError: a file is not there or cannot be read.
        """
        wanted = [*partitions, *stored]
        files = [_as_it_is(path) for path in paths]
        with self._lock:
            known = {file: kept.rows for file in files if (kept := self._asked_again(file, wanted)) is not None}
        absent = [file for file in files if file not in known]
        if absent:
            found = _read([path for path, *_ in absent], stored=stored, partitions=partitions)
            known |= dict(zip(absent, found, strict=True))
            with self._lock:
                for file in absent:
                    self._keep(file, _Kept(known[file], wanted, known[file].estimated_size()))
        return [known[file] for file in files]

    def _asked_again(self, file: AsItIs, columns: list[str]) -> _Kept | None:
        """What is kept of a file, unless its table has got a column since it was read."""
        kept = self._kept.get(file)
        if kept is None or kept.columns != columns:
            return None
        self._kept.move_to_end(file)
        return kept

    def _keep(self, file: AsItIs, kept: _Kept) -> None:
        before = self._kept.pop(file, None)
        self._bytes += kept.bytes - (0.0 if before is None else before.bytes)
        self._kept[file] = kept
        while self._bytes > _KEPT_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].bytes


def _as_it_is(path: str) -> AsItIs:
    stat = os.stat(path)  # noqa: PTH116  # a Path per file and question would cost more than the question
    return path, stat.st_mtime_ns, stat.st_size


def scan_files(
    paths: Sequence[str], *, stored: Columns, partitions: Columns, path_column: str | None = None
) -> pl.LazyFrame:
    """Rows of data files of one table, null where a file is older than a column."""
    return pl.scan_parquet(
        list(paths),
        glob=False,
        schema=dict(stored),
        hive_partitioning=bool(partitions),
        hive_schema=dict(partitions) or None,
        missing_columns="insert",
        extra_columns="ignore",
        include_file_paths=path_column,
    )


def _read(paths: Sequence[str], *, stored: Columns, partitions: Columns) -> list[pl.DataFrame]:
    """Rows of each file, with one scan of all."""
    wanted = [*partitions, *stored]
    found = scan_files(paths, stored=stored, partitions=partitions, path_column=_PATH if len(paths) > 1 else None)
    if len(paths) == 1:
        return [found.select(wanted).collect()]
    rows = found.select(_PATH, *wanted).collect()
    by_path = rows.partition_by(_PATH, as_dict=True, include_key=False, maintain_order=True)
    nothing = rows.select(wanted).clear()
    return [by_path.get((path,), nothing) for path in paths]
