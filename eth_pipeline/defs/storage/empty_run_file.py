"""The file that a run's events go to, begun as a copy of an empty one.

Belongs here: the empty file, made once per Dagster version and home, and its copies. Does not belong: what is written
into them (`sqlite`).

Dagster makes the tables of every run's file anew and loads all of its migrations to say which one they are at. An empty
file that Dagster itself has made once says the same.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as db
from dagster import __version__ as dagster_version
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from eth_pipeline.defs.storage.migration import MIGRATION, migration_of


def begin_run_file(path: Path, *, engine: Engine, initialise: Callable[[Engine], None]) -> None:
    """Make the file of a run ready for events: a copy where there is none; one that is there is brought up to date.

    Args:
        path: of the file; its folder exists.
        engine: opens it.
        initialise: makes Dagster's tables in a file, or the ones that it lacks.
    """
    empty = path.parent / f"empty-run-{dagster_version}.sqlite"
    migration = _sound_migration(empty)
    if migration is None:
        _make(empty, initialise=initialise)
        migration = _sound_migration(empty)
    if not path.exists():
        _copy(empty, path)
    if migration is None or migration_of(engine) != migration:
        initialise(engine)


def _make(empty: Path, *, initialise: Callable[[Engine], None]) -> None:
    """Let Dagster make its tables in a file of another name, which then takes this one's place, whole or not at all."""
    draft = empty.with_name(f".{empty.name}.{os.getpid()}.part")
    engine = db.create_engine(f"sqlite:///{draft}", poolclass=NullPool)
    try:
        initialise(engine)
        draft.replace(empty)
    finally:
        for rest in (draft, draft.with_name(f"{draft.name}-wal"), draft.with_name(f"{draft.name}-shm")):
            rest.unlink(missing_ok=True)


def _copy(empty: Path, path: Path) -> None:
    """`path` as a copy of `empty`, unless another process begins it first; where that fails Dagster makes it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with suppress(OSError):
            draft.write_bytes(empty.read_bytes())
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _sound_migration(empty: Path) -> str | None:
    """Which migration the empty file is at; None where it is absent or damaged."""
    if not empty.exists():
        return None
    try:
        # `immutable`: nobody ever writes into it, so reading needs no side file
        with closing(sqlite3.connect(f"file:{empty}?immutable=1", uri=True)) as file:
            is_sound = file.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            found = file.execute(MIGRATION).fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if is_sound and found is not None else None
