"""SQLite that stays open: Dagster's own run and event storage, without opening the file anew for every event.

Belongs here: how a connection is made and kept. Does not belong: which storage an instance has (`instance`), what is
stored (Dagster's).

Dagster makes an engine per event, so each event compiles its statements again, opens the file, and, as the last one to
close it, carries the whole write-ahead log over to the database and waits for the disk. An hourly run stores some 120
events. Here an engine per file is kept. `synchronous=NORMAL` is what SQLite advises for write-ahead logs: a power cut
may take the newest events of the history, never the file's soundness. Signals, ledgers and rows are in the lake.

The UI follows a running run by watching its file change. A write-ahead log that grows changes nothing there, so a run's
file takes its log over after every commit; the index, which nobody watches, when SQLite thinks it is time.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine

_BUSY_TIMEOUT_SECONDS = 30
_OPEN_RUNS = 8
"""Runs whose files are kept open at once: a daemon that runs for months must not hold a handle per run."""


class OpenEventLog(SqliteEventLogStorage):
    """The event log, one file per run and an index, each opened once."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._opening = threading.RLock()
        super().__init__(base_dir, inst_data)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has this table; Dagster asks while it holds the index, so this is a second connection."""
        with self._opened(INDEX_SHARD_NAME).connect() as connection:
            return db.inspect(connection).has_table(table_name)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on one file; the lock is Dagster's, one transaction at a time."""
        with self._db_lock:
            engine = self._opened(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _opened(self, shard: str) -> Engine:
        with self._opening:
            engine = self._engines.pop(shard, None)
            engine = engine or _engine(self.conn_string_for_shard(shard), watched=shard != INDEX_SHARD_NAME)
            self._engines[shard] = engine
            runs = [name for name in self._engines if name != INDEX_SHARD_NAME]
            for name in runs[:-_OPEN_RUNS]:
                self._engines.pop(name).dispose()
            return engine

    def wipe(self) -> None:
        """Delete every event; a file that is deleted must not stay open."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close the files."""
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock, self._opening:
            while self._engines:
                self._engines.popitem()[1].dispose()


class OpenRunStorage(SqliteRunStorage):
    """The runs, in one file, opened once."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction of its own, also while another thread has one."""
        with self._opening:
            self._engine = self._engine or _engine(self._conn_string, watched=False)
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None


def _engine(conn_string: str, *, watched: bool) -> Engine:
    engine = db.create_engine(conn_string, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

    @db.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")
        if watched:
            connection.execute("PRAGMA wal_autocheckpoint=1")

    return engine
