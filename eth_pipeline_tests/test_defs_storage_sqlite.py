"""The files of the instance stay open between events: the same rows for everybody, few handles, all let go again."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from sqlalchemy.pool import NullPool

from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.storage.sqlite import OpenEventLog
from eth_pipeline.settings import Settings
from eth_pipeline_tests.waiting import wait_until

RUNS = 20


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")  # opening sets it; this puts it back afterwards
    return Settings(home=tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[OpenEventLog]:
    made = OpenEventLog(str(tmp_path / "runs"))
    yield made
    made.dispose()


def open_files(folder: Path) -> set[str]:
    """Names of the databases below `folder` that this process holds open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    targets = {Path(target) for link in links if (target := _target(link))}
    return {target.name for target in targets if target.suffix == ".db" and folder in target.parents}


def _target(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except OSError:
        return None


@dg.asset
def ticks() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1})


def test_a_process_of_many_runs_holds_few_files_open_and_lets_all_of_them_go(log: OpenEventLog, tmp_path: Path) -> None:
    """A daemon lives for months; a handle per run would exhaust it."""
    for number in range(RUNS):
        with log.run_connection(f"run-{number}") as connection:
            connection.execute(db.text("SELECT 1"))
    held = open_files(tmp_path)
    assert f"run-{RUNS - 1}.db" in held
    assert len(held) <= 9
    with log.run_connection("run-0") as connection:
        assert connection.execute(db.text("SELECT count(*) FROM event_logs")).scalar() == 0
    log.dispose()
    assert not open_files(tmp_path)


def test_two_open_instances_see_what_the_other_wrote(settings: Settings) -> None:
    """Web server and daemon are processes of their own, and each keeps its files open."""
    with open_instance(settings) as writer, open_instance(settings) as reader:
        assert reader.get_latest_materialization_event(ticks.key) is None
        for _ in range(2):
            run = dg.materialize([ticks], instance=writer)
            assert {each.run_id for each in reader.get_runs()} >= {run.run_id}
            event = reader.get_latest_materialization_event(ticks.key)
            assert event is not None
            assert event.run_id == run.run_id
            assert len(reader.all_logs(run.run_id)) == len(writer.all_logs(run.run_id)) > 5


def test_threads_of_one_process_share_the_open_files_and_lose_nothing(log: OpenEventLog) -> None:
    """The web server answers from many threads; SQLite refuses a connection that another thread made, unless told."""
    with log.run_connection("run") as connection:
        connection.execute(db.text("CREATE TABLE counted (number INTEGER)"))

    def count(first: int) -> None:
        for number in range(first, first + 25):
            with log.run_connection("run") as connection:
                connection.execute(db.text(f"INSERT INTO counted VALUES ({number})"))

    threads = [threading.Thread(target=count, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with log.run_connection("run") as connection:
        found = connection.execute(db.text("SELECT count(DISTINCT number) FROM counted")).scalar()
    assert found == 100


def test_a_wiped_log_is_empty_and_takes_new_events(settings: Settings) -> None:
    """A file that is deleted while it is open would swallow what is written next."""
    with open_instance(settings) as instance:
        dg.materialize([ticks], instance=instance)
        instance.wipe()
        assert instance.get_runs() == []
        assert instance.get_latest_materialization_event(ticks.key) is None
        run = dg.materialize([ticks], instance=instance)
        event = instance.get_latest_materialization_event(ticks.key)
        assert event is not None
        assert event.run_id == run.run_id


def test_whoever_watches_the_file_of_a_run_sees_each_event_when_it_is_stored(
    settings: Settings, tmp_path: Path
) -> None:
    """The UI follows a running run by its file; a write-ahead log alone shows nothing until the run's process ends."""
    with open_instance(settings) as writer, open_instance(settings) as web:
        run = dg.materialize([ticks], instance=writer)
        seen: list[str] = []
        web.watch_event_logs(run.run_id, None, lambda event, _: seen.append(event.message))
        told = [f"event {number}" for number in range(2)]
        for word in told:
            writer.report_engine_event(word, run_id=run.run_id, job_name=run.job_def.name)
            wait_until(lambda word=word: any(word in each for each in seen), seconds=30)


def test_what_an_event_writes_into_the_index_is_there_at_once_or_not_at_all(log: OpenEventLog, tmp_path: Path) -> None:
    """An evaluation without its row in the table of checks would be in the history and not on the page of the asset."""
    with log.index_connection() as connection:
        connection.execute(db.text("CREATE TABLE seen (word TEXT)"))

    def half_an_event() -> None:
        with log.index_connection() as outer:
            with log.index_connection() as inner:
                assert inner is outer
                inner.execute(db.text("INSERT INTO seen VALUES ('half')"))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half_an_event()
    with log.index_connection() as connection:
        assert connection.execute(db.text("SELECT count(*) FROM seen")).scalar() == 0


def test_the_file_of_a_run_is_what_dagster_itself_makes(log: OpenEventLog, tmp_path: Path) -> None:
    with log.run_connection("copied"):
        pass
    made = tmp_path / "made.db"
    log._initdb(db.create_engine(f"sqlite:///{made}", poolclass=NullPool))
    assert schema(tmp_path / "runs" / "copied.db") == schema(made)
    assert len(schema(made)) > 10
    assert sorted(path.name for path in (tmp_path / "runs").iterdir() if path.name.endswith(".part")) == []


def test_a_run_file_without_tables_gets_them(log: OpenEventLog, tmp_path: Path) -> None:
    """A process can die between making the file and its tables, and another one brings its events."""
    with log.run_connection("whole"):
        pass
    (tmp_path / "runs" / "torn.db").touch()
    with log.run_connection("torn") as connection:
        assert connection.execute(db.text("SELECT count(*) FROM event_logs")).scalar() == 0
    assert schema(tmp_path / "runs" / "torn.db") == schema(tmp_path / "runs" / "whole.db")


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_file_of_the_instance_without_its_tables_gets_them(settings: Settings, tmp_path: Path, name: str) -> None:
    """A process can die while it makes a home; the next one takes a file that has a migration for finished."""
    with open_instance(settings) as instance:
        dg.materialize([ticks], instance=instance)
    path = settings.dagster_home / "storage" / name
    whole = schema(path)
    for torn in path.parent.glob(f"{path.name}*"):
        torn.unlink()
    with closing(sqlite3.connect(path)) as file:
        file.execute(next(made for made in whole if made.startswith("CREATE TABLE alembic_version")))
    with open_instance(settings) as instance:
        assert dg.materialize([ticks], instance=instance).success
        assert instance.all_instigator_state() == []
    assert schema(path) == whole


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 and then nothing of the kind"])
def test_a_damaged_empty_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    """A power cut can leave it torn, and every run of this home begins with it."""
    first = OpenEventLog(str(tmp_path / "runs"))
    with first.run_connection("run-0"):
        pass
    first.dispose()
    (empty,) = (tmp_path / "runs").glob("empty-run-*.sqlite")
    empty.write_bytes(damage)
    second = OpenEventLog(str(tmp_path / "runs"))
    with second.run_connection("run-1") as connection:
        assert connection.execute(db.text("SELECT count(*) FROM event_logs")).scalar() == 0
    second.dispose()
    assert schema(empty) == schema(tmp_path / "runs" / "run-0.db")


def schema(path: Path) -> set[str]:
    """Every statement that made a table or an index of a file, and the migration it is at."""
    with closing(sqlite3.connect(path)) as file:
        made = {row[0] for row in file.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        return made | {row[0] for row in file.execute("SELECT version_num FROM alembic_version")}


def test_what_the_index_has_is_remembered_and_what_it_has_not_yet_is_asked_again(log: OpenEventLog) -> None:
    """A migration by a newer Dagster, while this process runs, is noticed."""
    assert not log.has_asset_key_col("invented")
    assert log.has_asset_key_col("cached_status_data")
    with log.index_connection() as connection:
        connection.execute(db.text("ALTER TABLE asset_keys ADD COLUMN invented TEXT"))
    assert log.has_asset_key_col("invented")
    assert not log.has_secondary_index("invented")
    log.enable_secondary_index("invented")
    assert log.has_secondary_index("invented")
