"""Looking into an SQLite file of another process without touching it.

Belongs here: opening read-only, one query. Does not belong: what the rows mean.

A file in WAL mode that nobody has open was checkpointed when its last user closed it; SQLite would create two side
files to read it, so it is opened as immutable. Where the side files are there, they are read along.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

_BUSY_SECONDS = 2.0


@contextmanager
def looking_into(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A read-only connection to the file; None where there is no file. Nothing is created, whatever happens.

    Raises:
        sqlite3.Error: it is no database, or lacks what is asked for.
    """
    if not path.is_file():
        yield None
        return
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=_BUSY_SECONDS)) as connection:
        yield connection


def first_row(path: Path, query: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
    """The first row of a query; None without a row or without a file.

    Raises:
        sqlite3.Error: as `looking_into`.
    """
    with looking_into(path) as connection:
        if connection is None:
            return None
        found: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
        return found
