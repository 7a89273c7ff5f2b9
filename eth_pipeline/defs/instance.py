"""The Dagster instance: its home folder and its storage, chosen by the settings.

Belongs here: preparing DAGSTER_HOME and picking SQLite or PostgreSQL. Does not belong: definitions.
dagster.yaml cannot choose by itself: a reference to an absent environment variable is an error at load.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from eth_pipeline.defs.storage.sqlite import OpenEventLog, OpenRunStorage, ScheduleStorage
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import Settings, load_settings

_EVENTS_OF_A_BATCH = "500"
"""Events that Dagster calls one batch, such as all that a run plans, are stored in one transaction, up to so many."""


class InstanceStorage(DagsterSqliteStorage):
    """`storage.custom` of dagster.yaml: SQLite below the home, or PostgreSQL when its URL is set."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # past the one between: it would open the three files in its own way first
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]  # Dagster leaves it untyped
        self.base_dir, self._inst_data = base_dir, inst_data
        history = Path(base_dir) / "history"
        self._run_storage = OpenRunStorage.from_local(str(history))
        self._event_log_storage = OpenEventLog(str(history / "runs"))
        self._schedule_storage = ScheduleStorage.from_local(str(Path(base_dir) / "schedules"))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """It takes no configuration; the settings decide."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # PostgreSQL's class is a sibling, as Dagster's own is
        cls,
        inst_data: ConfigurableClassData,
        config_value: dict[str, Any],  # noqa: ARG003  # Dagster passes it by name
    ) -> DagsterStorage:
        """The storage that the settings ask for.

        Raises:
            SettingsInvalid: a PostgreSQL URL is set and the `postgres` extra is not installed.
        """
        settings = load_settings()
        if settings.postgres_url is None:
            return cls.from_local(base_dir=str(settings.dagster_home / "storage"), inst_data=inst_data)
        try:
            from eth_pipeline.defs.storage.postgres import OpenPostgresStorage
        except ImportError as error:
            raise SettingsInvalid(
                "ETH_PIPELINE_POSTGRES_URL is set but dagster-postgres is not installed. "
                "Install the extra: pip install 'eth-pipeline[postgres]', or unset the variable."
            ) from error
        return OpenPostgresStorage(_with_driver(settings.postgres_url), inst_data=inst_data)


def prepare_home(settings: Settings) -> Path:
    """Create the instance folder with its dagster.yaml, export DAGSTER_HOME, return the folder.

    Every command of ours goes through here: without DAGSTER_HOME Dagster silently uses a temporary instance.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    text = (Path(__file__).parent / "dagster.yaml").read_text()
    target = home / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        draft = home / f"dagster.yaml.{os.getpid()}"
        draft.write_text(text)
        draft.replace(target)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = _EVENTS_OF_A_BATCH
    os.environ["ETH_PIPELINE_HOME"] = str(settings.home)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance below the home; created, migrated and ready."""
    return dg.DagsterInstance.from_config(str(prepare_home(settings)))


def _with_driver(url: str) -> str:
    """`postgresql://` would load psycopg 3 under SQLAlchemy 2.1; name the driver that is installed."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg2://{rest}" if scheme in ("postgres", "postgresql") else url
