"""SQLite that stays open: Dagster's own run and event storage, without opening the file anew for every event.

Belongs here: how a connection is made and kept. Does not belong: which storage an instance has (`instance`), what is
stored (Dagster's), the empty file that a run begins with (`empty_run_file`).

Dagster makes an engine per event, so each event compiles its statements again, opens the file, and, as the last one to
close it, carries the whole write-ahead log over to the database and waits for the disk. An hourly run stores some 120
events. Here an engine per file is kept, and what one event, or one batch of events, writes into the index is one
transaction. `synchronous=NORMAL` is what SQLite advises for write-ahead logs: a power cut may take the newest events of
the history, never the file's soundness. Signals, ledgers and rows are in the lake.

The UI follows a running run by watching its file change. A write-ahead log that grows changes nothing there, so whoever
writes into a run's file also sets its time. The log is carried over when it has grown, and when the file is closed.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sqlalchemy as db
from dagster import DagsterEventType, EventLogEntry
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine

from eth_pipeline.defs.storage.empty_run_file import begin_run_file
from eth_pipeline.defs.storage.migration import is_begun, migration_of

_BUSY_TIMEOUT_SECONDS = 30
_OPEN_RUNS = 8
"""Runs whose files are kept open at once: a daemon that runs for months must not hold a handle per run."""
_INDEXED: frozenset[DagsterEventType] = frozenset(ASSET_EVENTS | ASSET_CHECK_EVENTS)


class OpenEventLog(SqliteEventLogStorage):
    """The event log, one file per run and an index, each opened once."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._opening = threading.RLock()
        self._begun: dict[str, Connection] = {}
        self._tables: set[str] = set()
        self._columns: set[str] = set()
        self._completed: set[str] = set()
        super().__init__(base_dir, inst_data)
        self._db_lock: Any = threading.RLock()  # Dagster's cannot be taken twice, which `_connect` needs

    def has_table(self, table_name: str) -> bool:
        """Whether the index has this table, asked until it has; Dagster asks some 40 times an hour.

        It does so while it holds the index, so this is a second connection.
        """
        if table_name not in self._tables:
            with self._opened(INDEX_SHARD_NAME).connect() as connection:
                if not db.inspect(connection).has_table(table_name):
                    return False
            self._tables.add(table_name)
        return True

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of assets has this column; columns only ever come, some 80 questions an hour stay."""
        return column_name in self._columns or super().has_asset_key_col(column_name)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name in self._columns:
            return True
        found: bool = super()._has_asset_key_col_on_connection(conn, column_name)
        if found:
            self._columns.add(column_name)
        return found

    def has_secondary_index(self, name: str) -> bool:
        """Whether a migration of the index was completed; one that was stays so until the log is wiped."""
        if name not in self._completed and super().has_secondary_index(name):
            self._completed.add(name)
        return name in self._completed

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event; what it writes into the index is one transaction."""
        if event.dagster_event_type not in _INDEXED:
            super().store_event(event)
            return
        with self.index_connection():
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that belong together, such as everything a run plans: one transaction per file, or none."""
        with ExitStack() as together:
            for run_id in dict.fromkeys(event.run_id for event in events):
                together.enter_context(self.run_connection(run_id))
            together.enter_context(self.index_connection())
            for event in events:
                super().store_event(event)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on one file, or the part of the one that this thread has begun; the lock is Dagster's."""
        with self._db_lock:
            if shard in self._begun:
                yield self._begun[shard]
                return
            engine = self._opened(shard)
            if shard not in self._initialized_dbs:
                self._begin_file(shard, engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                before = _changes(connection)
                self._begun[shard] = connection
                try:
                    yield connection
                finally:
                    del self._begun[shard]
                written = _changes(connection) != before
            if written and shard != INDEX_SHARD_NAME:
                with suppress(FileNotFoundError):  # deleted meanwhile, as old runs are
                    os.utime(self.path_for_shard(shard))

    def _begin_file(self, shard: str, engine: Engine) -> None:
        if shard == INDEX_SHARD_NAME:
            if migration_of(engine) is None:
                self._initdb(engine)
        else:
            begin_run_file(Path(self.path_for_shard(shard)), engine=engine, initialise=self._initdb)

    def _opened(self, shard: str) -> Engine:
        with self._opening:
            engine = self._engines.pop(shard, None) or _engine(self.conn_string_for_shard(shard))
            self._engines[shard] = engine
            runs = [name for name in self._engines if name != INDEX_SHARD_NAME and name not in self._begun]
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
            for remembered in (self._tables, self._columns, self._completed):
                remembered.clear()


class OpenRunStorage(SqliteRunStorage):
    """The runs, in one file, opened once."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        super().__init__(conn_string, inst_data)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """The runs below a folder; Dagster makes their tables where there are none."""
        conn_string = create_db_conn_string(base_dir, "runs")
        return cls(conn_string, inst_data) if is_begun(conn_string) else super().from_local(base_dir, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction of its own, also while another thread has one."""
        with self._opening:
            self._engine = self._engine or _engine(self._conn_string)
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None


class ScheduleStorage(SqliteScheduleStorage):
    """The ticks of schedules and sensors, opened for each question as Dagster does it: few ask."""

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> SqliteScheduleStorage:
        """The ticks below a folder; Dagster makes their tables where there are none."""
        conn_string = create_db_conn_string(base_dir, "schedules")
        return cls(conn_string, inst_data) if is_begun(conn_string) else super().from_local(base_dir, inst_data)


def _changes(connection: Connection) -> int:
    """Rows that this connection has written since it was made."""
    made: Any = connection.connection.dbapi_connection
    return int(made.total_changes)


def _engine(conn_string: str) -> Engine:
    engine = db.create_engine(conn_string, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

    @db.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
