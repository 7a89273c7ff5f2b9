"""The instance's storage: SQLite below the home by itself, a real PostgreSQL as soon as its URL is set."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.cli.processes import free_port
from eth_pipeline.defs.instance import open_instance, prepare_home
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.postgres_server import postgres_server
from eth_pipeline_tests.small_home import QUIET
from eth_pipeline_tests.waiting import wait_until


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a private PostgreSQL."""
    with postgres_server() as url:
        yield f"{url}/postgres"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose exchange does not answer: its port is closed."""
    nobody = f"http://127.0.0.1:{free_port()}"
    for host in ("FUTURES", "SPOT", "ARCHIVE"):
        monkeypatch.setenv(f"ETH_PIPELINE_EXCHANGE__{host}_URL", nobody)
    monkeypatch.setenv("ETH_PIPELINE_EXCHANGE__ATTEMPTS", "1")
    monkeypatch.setenv("ETH_PIPELINE_CROSS_SYMBOLS", "[]")
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")  # `prepare_home` sets it; this puts it back afterwards
    return tmp_path


def materialize(instance: dg.DagsterInstance) -> str:
    """One real run of one asset; its id."""
    from eth_pipeline.definitions import defs

    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("funding_rates")})
    result = job.execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    return result.run_id


def test_without_a_setting_everything_is_sqlite_below_the_home(home: Path) -> None:
    with open_instance(load_settings()) as instance:
        assert materialize(instance) in {run.run_id for run in instance.get_runs()}
        assert instance.root_directory == str(home / "dagster")
    databases = {path.name for path in (home / "dagster" / "storage").rglob("*.db")}
    assert {"runs.db", "schedules.db"} <= databases


def test_another_process_finds_the_same_runs(home: Path) -> None:
    with open_instance(load_settings()) as instance:
        run_id = materialize(instance)
    with open_instance(load_settings()) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS


def test_with_a_url_a_materialization_is_written_into_postgresql(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    monkeypatch.setenv("ETH_PIPELINE_POSTGRES_URL", postgres)
    with open_instance(load_settings()) as instance:
        run_id = materialize(instance)
        event = instance.get_latest_materialization_event(dg.AssetKey("funding_rates"))
        assert event is not None
        assert event.run_id == run_id
    assert not list((home / "dagster").rglob("runs.db")), "nothing may be left to SQLite"
    connection = psycopg2.connect(postgres)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT status FROM runs WHERE run_id = %s", (run_id,))
            assert cursor.fetchone() == ("SUCCESS",)
            cursor.execute("SELECT count(*) FROM event_logs WHERE run_id = %s", (run_id,))
            (events,) = cursor.fetchone() or (0,)
            assert events > 5
    finally:
        connection.close()


def test_a_run_keeps_its_connections_to_postgresql_and_closes_them_with_the_instance(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's own storage connected for every statement, and the server forked a process each time."""
    import psycopg2

    monkeypatch.setenv("ETH_PIPELINE_POSTGRES_URL", postgres)
    connection = psycopg2.connect(postgres)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:

            def connected() -> set[int]:
                cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
                return {pid for (pid,) in cursor.fetchall()} - {connection.info.backend_pid}

            with open_instance(load_settings()) as instance:
                assert instance.get_runs_count() >= 0
                before = connected()
                materialize(instance)
                assert connected() & before, "the connection of the first question serves the last one"
            wait_until(lambda: not connected(), seconds=30)
    finally:
        connection.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_way_of_writing_the_url_reaches_the_installed_driver(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """A bare `postgresql://` loads psycopg 3 under SQLAlchemy 2.1 and fails."""
    monkeypatch.setenv("ETH_PIPELINE_POSTGRES_URL", postgres.replace("postgresql", scheme, 1))
    with open_instance(load_settings()) as instance:
        assert instance.get_runs_count() >= 0
    assert not list((home / "dagster").rglob("runs.db"))


def test_preparing_twice_keeps_the_file_and_a_changed_file_is_put_right(home: Path) -> None:
    target = prepare_home(load_settings()) / "dagster.yaml"
    first = target.stat().st_mtime_ns
    prepare_home(load_settings())
    assert target.stat().st_mtime_ns == first
    text = target.read_text()
    target.write_text("telemetry:\n  enabled: true\n")
    prepare_home(load_settings())
    assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["dagster.yaml"]


def test_every_command_works_on_the_instance_below_its_own_home(home: Path) -> None:
    """Without DAGSTER_HOME Dagster silently uses a temporary instance, and every run is lost."""
    prepare_home(load_settings())
    assert os.environ["DAGSTER_HOME"] == str(home / "dagster")
    assert os.environ["ETH_PIPELINE_HOME"] == str(home)
