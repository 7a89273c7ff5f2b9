"""Retention of runs on a real instance: old runs go, and nothing that anybody still asks for goes with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.retention import compact_storage, prune_runs
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.registry_maker import candidate, decision
from eth_pipeline_tests.small_home import QUIET

DAY = timedelta(days=1)
MONTHS = dg.StaticPartitionsDefinition(["2025-01", "2025-02"])


@dg.asset(check_specs=[dg.AssetCheckSpec("fine", asset="plain")])
def plain(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    if context.run.tags.get("breaks"):
        raise dg.Failure("as it was told")
    yield dg.AssetCheckResult(check_name="fine", passed=True)
    yield dg.MaterializeResult()


@dg.asset(partitions_def=MONTHS)
def monthly() -> None: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")  # `prepare_home` sets it; this puts it back afterwards
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(load_settings()) as opened:
        yield opened


def run(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, *, month: str | None = None, **tags: str) -> str:
    """One real run; its id."""
    done = dg.materialize(
        [asset], instance=instance, partition_key=month, tags=tags, run_config=QUIET, raise_on_error=False
    )
    return done.run_id


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {found.run_id for found in instance.get_runs()}


def age(home: Path, *, days: int) -> None:
    """Let every run of the instance be so many days older than it is."""
    with closing(sqlite3.connect(home / "dagster" / "storage" / "history" / "runs.db")) as db:
        shift = f"datetime({{0}}, '-{days} days')"
        columns = ", ".join(f"{name} = {shift.format(name)}" for name in ("create_timestamp", "update_timestamp"))
        db.execute(f"UPDATE runs SET {columns}")
        db.commit()


def test_what_goes_is_what_no_promotion_and_no_asset_rests_on(home: Path, instance: dg.DagsterInstance) -> None:
    """Freshness, sensors and the list of partitions read materializations; those go with the run that made them."""
    promoted, superseded, newest = (run(plain, instance) for _ in range(3))
    january, outdated, february = (run(monthly, instance, month=f"2025-0{n}") for n in (1, 2, 2))
    failed = run(plain, instance, breaks="yes")
    everything = {promoted, superseded, newest, january, outdated, february, failed}
    storage, now = home / "dagster" / "storage", SystemClock().now()
    assert (storage / failed).is_dir(), "what a run printed is kept in a folder of its own"

    assert prune_runs(instance, before=now - DAY, promoted=frozenset()).deleted == 0
    assert runs(instance) == everything, "young runs stay"

    pruned = prune_runs(instance, before=now + DAY, promoted=frozenset({promoted}))
    assert runs(instance) == {promoted, newest, january, february}
    assert (pruned.deleted, pruned.kept_for_promotions, pruned.kept_for_assets) == (3, 1, 3)
    event = instance.get_latest_materialization_event(dg.AssetKey("plain"))
    assert event is not None
    assert event.run_id == newest
    assert instance.get_materialized_partitions(dg.AssetKey("monthly")) == {"2025-01", "2025-02"}
    key = dg.AssetCheckKey(dg.AssetKey("plain"), "fine")
    assert instance.get_latest_asset_check_evaluation_record(key) is not None
    for gone in everything - runs(instance):
        assert not list(storage.rglob(f"{gone}*")), "neither events nor output are left"
    assert instance.all_logs(newest)
    assert prune_runs(instance, before=now + DAY, promoted=frozenset({promoted})).deleted == 0


def test_a_backlog_is_worked_off_from_its_oldest_end_and_a_run_that_goes_on_stays(instance: dg.DagsterInstance) -> None:
    first, second, newest = (run(plain, instance) for _ in range(3))
    later_job = dg.Definitions(assets=[plain]).resolve_implicit_global_asset_job_def()
    waiting = instance.create_run_for_job(later_job).run_id
    later = SystemClock().now() + DAY
    assert prune_runs(instance, before=later, promoted=frozenset(), most=1).deleted == 1
    assert runs(instance) == {second, newest, waiting}
    assert prune_runs(instance, before=later, promoted=frozenset()).deleted == 1
    assert runs(instance) == {newest, waiting}
    assert first not in runs(instance)


def retention(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """The asset of the nightly job."""
    from eth_pipeline.definitions import defs

    job = defs.resolve_job_def("maintenance").get_subset(asset_selection={dg.AssetKey("run_retention")})
    return job.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def test_the_nightly_job_keeps_runs_for_the_days_that_are_set_and_promotions_for_ever(
    home: Path, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted, superseded, newest = (run(plain, instance) for _ in range(3))
    figures = candidate(tmp_path / "bundle")
    log = PromotionLog.of(home)
    log.append(decision=decision(tmp_path / "bundle", figures), version="1", run_id=promoted, at=SystemClock().now())
    age(home, days=30)
    assert retention(instance).success
    assert {promoted, superseded, newest} <= runs(instance), "90 days by default"

    monkeypatch.setenv("ETH_PIPELINE_RETENTION__RUNS_DAYS", "20")
    whole = log.path.read_bytes()
    log.path.write_bytes(b"no entry\n")
    assert not retention(instance).success
    assert superseded in runs(instance), "a log that cannot be read must not cost the evidence of a promotion"

    log.path.write_bytes(whole)
    result = retention(instance)
    assert result.success
    assert runs(instance) >= {promoted, newest}
    assert superseded not in runs(instance)
    (made,) = result.asset_materializations_for_node("run_retention")
    assert (made.metadata["runs_deleted"].value, made.metadata["old_runs_kept_for_promotions"].value) == (1, 1)


def test_files_are_made_smaller_when_much_is_empty_and_left_alone_while_in_use(tmp_path: Path) -> None:
    for name in ("runs.db", "index.db", "schedules.db"):
        with closing(sqlite3.connect(tmp_path / name)) as db:
            db.execute("CREATE TABLE things (text)")
            db.executemany("INSERT INTO things VALUES (?)", [("x" * 1000,)] * 1000)
            db.execute("DELETE FROM things WHERE rowid > ?", (1000 if name == "schedules.db" else 10,))
            db.commit()
    with closing(sqlite3.connect(tmp_path / "index.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        done = compact_storage(tmp_path, busy_seconds=0.05)
    assert (done.files, done.busy) == (("runs.db",), ("index.db",))
    assert done.freed_bytes > 900_000
    with closing(sqlite3.connect(tmp_path / "runs.db")) as db:
        assert db.execute("SELECT count(*) FROM things").fetchone() == (10,)
