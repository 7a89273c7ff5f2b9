"""What this host must remember about the exchange between processes: one SQLite file in WAL mode.

Belongs here: opening the file, its tables, transactions. Does not belong: what the rows mean; that is `budget`
(`spent`, `holds`), `breaker` (`breakers`), `exchange.doubts.gaps` (`absent`), `exchange.doubts.ledger` (`findings`),
`exchange.recheck` (`checked`) and `exchange_time` (`offsets`). Hourly runs are separate processes, so state in memory
would forget an open breaker or a ban every hour. Losing the file is harmless: it is learnt again.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import stamina

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    host TEXT, allowance TEXT, window_start REAL, used INTEGER, PRIMARY KEY (host, allowance));
CREATE TABLE IF NOT EXISTS holds (
    host TEXT PRIMARY KEY, is_ban INTEGER, until REAL);
CREATE TABLE IF NOT EXISTS breakers (
    endpoint TEXT PRIMARY KEY, state TEXT, failures INTEGER, changed_at REAL, reason TEXT);
CREATE TABLE IF NOT EXISTS findings (
    series TEXT PRIMARY KEY, digest TEXT);
CREATE TABLE IF NOT EXISTS checked (
    key TEXT PRIMARY KEY, at_us INTEGER);
CREATE TABLE IF NOT EXISTS offsets (
    host TEXT PRIMARY KEY, offset_seconds REAL, round_trip_seconds REAL, measured_at REAL);
CREATE TABLE IF NOT EXISTS absent (
    series TEXT, first_us INTEGER, last_us INTEGER, asked_us INTEGER, PRIMARY KEY (series, first_us, last_us));
"""
_BUSY_SECONDS = 10.0
STATE_FILE = "exchange_state.sqlite"  # below the home of a host


class HostState:
    """One SQLite file, shared by threads of this process and by all processes of this host."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        # Two processes that create the file at once can meet "database is locked" without the busy timeout.
        for attempt in stamina.retry_context(on=sqlite3.OperationalError, attempts=5, wait_max=1.0):
            with attempt:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as one step: no other thread or process comes between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def row(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        """First row of a query, inside or outside a transaction; takes no write lock in the file."""
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        with self._lock:
            self._connection.close()
