"""PostgreSQL that stays connected: Dagster's own storage, without a connection for every question.

Belongs here: how connections are made and kept. Does not belong: which storage an instance has (`instance`), what is
stored (Dagster's). Imported only where a PostgreSQL URL is set: dagster-postgres is an extra.

Dagster connects anew for each statement, everywhere but in its webserver, and the server forks a process for each
connection: some 700 of them in a demo. Here runs, events and schedules of a process share a few, asked whether they
still stand before each use, so that a server that was restarted costs nothing.
"""

import sqlalchemy as db
from dagster._serdes import ConfigurableClassData
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)

_KEPT_CONNECTIONS = 3
"""Per process; PostgreSQL allows 100 in all, and what is needed beyond these few is closed after use."""
_UNLIMITED = -1


class OpenPostgresStorage(DagsterPostgresStorage):
    """The whole storage of an instance over one pool of connections."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        runs, events = _Runs(postgres_url), _Events(postgres_url)
        schedules = PostgresScheduleStorage(postgres_url)
        runs._engine = events._engine = schedules._engine = db.create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT_CONNECTIONS,
            max_overflow=_UNLIMITED,
            pool_pre_ping=True,
        )
        self._run_storage, self._event_log_storage, self._schedule_storage = runs, events, schedules


class _Runs(PostgresRunStorage):
    """Runs whose connections are closed with the instance."""

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


class _Events(PostgresEventLogStorage):
    """Events whose connections are closed with the instance."""

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()
