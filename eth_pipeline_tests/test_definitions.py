"""The one page that Dagster loads: every asset explains itself, and nothing starts or retries by surprise."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

import eth_pipeline
from eth_pipeline.contracts.tables import INPUT_STREAMS, STREAMS
from eth_pipeline.definitions import defs
from eth_pipeline.defs.jobs import HOURLY_ASSETS, TRAINING_ASSETS

PACKAGE = Path(eth_pipeline.__file__).parent
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
GRAPH = defs.resolve_asset_graph()
REPOSITORY = defs.get_repository_def()
COMPANIONS = {f"{stream}_newest_bar" for stream in STREAMS}
DERIVED = ("features", "labels", "consensus", "forecast", "paper_account", "hourly_signal")
MODELS = {"lightgbm_model", "cross_asset_model", "lstm_model", "tft_model", "quantile_model", "regime_model"}
VINTAGES = {"model_vintage", "historical_forecasts", "other_vintage"}
ASKED = {"bundle_check", "training_report"}
TRAINED_OR_FETCHED = {
    "labels",
    *MODELS,
    *VINTAGES,
    *ASKED,
    "candidate_bundle",
    "promotion_decision",
    "production_bundle",
}


def policy(asset: str) -> tuple[timedelta, timedelta]:
    """Warning and failure window of an asset's freshness policy."""
    found = SPECS[asset].freshness_policy
    assert found is not None, f"{asset} has no freshness policy"
    return found.warn_window.to_timedelta(), found.fail_window.to_timedelta()


@pytest.mark.parametrize("asset", sorted(SPECS))
def test_an_asset_says_what_it_is_whose_it_is_and_what_made_it(asset: str) -> None:
    spec = SPECS[asset]
    assert spec.group_name in {"data", "model", "decision", "operations"}
    assert spec.owners
    assert spec.kinds
    description = spec.description or ""
    assert len(description) > 60
    assert description.endswith(".")
    assert asset in COMPANIONS or spec.code_version


def test_no_two_assets_share_a_description() -> None:
    """Copied descriptions were found in published example projects."""
    descriptions = [spec.description for spec in SPECS.values()]
    assert len(set(descriptions)) == len(descriptions)


@pytest.mark.parametrize("asset", [*STREAMS, *DERIVED])
def test_a_table_says_what_one_row_is_and_shows_its_columns_with_units(asset: str) -> None:
    spec = SPECS[asset]
    assert str(spec.description).startswith("One row is ")
    columns = spec.metadata["dagster/column_schema"].columns
    assert len(columns) >= 5
    assert all(column.description for column in columns)
    assert any("Unit: " in str(column.description) for column in columns)
    assert spec.metadata["dagster/table_name"]


def test_the_planes_are_the_groups() -> None:
    members = {
        group: {name for name, spec in SPECS.items() if spec.group_name == group}
        for group in ("data", "model", "decision", "operations")
    }
    assert members["data"] == {*STREAMS, *COMPANIONS, "market_history", "gap_ledger", "archive_recheck"}
    assert members["model"] == {"features", *TRAINED_OR_FETCHED}
    assert members["operations"] == {"lake_maintenance", "run_retention"}
    assert set(SPECS) == set().union(*members.values())


@pytest.mark.parametrize("asset", ["hourly_signal", "signal_history", "gate_verdict"])
def test_what_decides_an_hour_depends_directly_on_every_stream_it_reads(asset: str) -> None:
    """`all_deps_blocking_checks_passed` looks at direct dependencies only."""
    assert set(INPUT_STREAMS) <= {dep.asset_key.to_user_string() for dep in SPECS[asset].deps}


@pytest.mark.parametrize("stream", sorted(STREAMS))
def test_the_freshness_badge_of_a_stream_follows_its_data_and_not_its_runs(stream: str) -> None:
    assert SPECS[stream].freshness_policy is None, "a run without a new row would turn it green"
    warn, fail = policy(f"{stream}_newest_bar")
    expected = timedelta(hours=9 if stream == "funding_rates" else 1)
    assert expected < warn < fail <= expected + timedelta(hours=1)
    assert [dep.asset_key.to_user_string() for dep in SPECS[f"{stream}_newest_bar"].deps] == [stream]


def test_the_signal_shows_as_late_after_one_missed_hour_and_as_failed_after_two() -> None:
    warn, fail = policy("hourly_signal")
    assert timedelta(hours=1) < warn < fail <= timedelta(hours=2)


@pytest.mark.parametrize("asset", ["hourly_signal", "signal_history"])
def test_the_check_of_a_signal_on_itself_blocks(asset: str) -> None:
    assert GRAPH.get(dg.AssetCheckKey(SPECS[asset].key, "not_blocked")).blocking


def test_no_check_of_a_stream_blocks() -> None:
    """A blocking one would skip verdict and signal, and the hour would have no record at all."""
    keys = [key for key in GRAPH.asset_check_keys if key.asset_key.to_user_string() in STREAMS]
    assert len(keys) == len(STREAMS)
    assert not any(GRAPH.get(key).blocking for key in keys)


def test_the_hourly_job_runs_in_one_process_and_trains_nothing() -> None:
    """One process per step costs 12 to 21 s for ten trivial steps."""
    job = defs.resolve_job_def("hourly")
    assert job.executor_def.name == "in_process"
    steps = {node.name for node in job.all_node_defs}
    assert steps == {*HOURLY_ASSETS, "stream_freshness"}
    assert not steps & TRAINED_OR_FETCHED
    assert {*STREAMS, "gate_verdict", "paper_account", "hourly_signal"} <= steps


def test_training_runs_one_process_per_step_and_decides() -> None:
    job = defs.resolve_job_def("training")
    assert job.executor_def.name == "multiprocess"
    assert {node.name for node in job.all_node_defs} == set(TRAINING_ASSETS)
    assert next(node for node in job.all_node_defs if node.name == "lightgbm_model").pool == "training"


def test_a_moved_alias_starts_only_what_brings_the_bundle() -> None:
    job = defs.resolve_job_def("production")
    assert {node.name for node in job.all_node_defs} == {"production_bundle"}


@pytest.mark.parametrize("job", ["hourly", "training", "production"])
def test_none_of_the_three_retry_mechanisms_may_act(job: str) -> None:
    """A permanent 405 was retried 5,363 times in one project, a bare `execution_failed` cost 368,000 runs."""
    found = defs.resolve_job_def(job)
    assert found.tags["dagster/max_retries"] == "0"
    assert all(getattr(node, "retry_policy", None) is None for node in found.all_node_defs)
    assert all(spec.automation_condition is None for spec in SPECS.values())


def test_the_instance_switches_no_run_retries_and_no_telemetry_on() -> None:
    instance = yaml.safe_load((PACKAGE / "defs" / "dagster.yaml").read_text())
    assert "run_retries" not in instance
    assert instance["telemetry"]["enabled"] is False
    assert "env" not in yaml.dump(instance["storage"]), "an absent variable would be an error at load"


def test_the_dagster_yaml_at_the_top_is_the_one_that_homes_get() -> None:
    assert (PACKAGE.parent / "dagster.yaml").read_text() == (PACKAGE / "defs" / "dagster.yaml").read_text()


def test_what_keeps_hours_coming_is_on_and_what_costs_hours_is_off() -> None:
    on, off = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    schedules = {schedule.name: schedule for schedule in REPOSITORY.schedule_defs}
    assert {name: schedule.default_status for name, schedule in schedules.items()} == {
        "hourly_schedule": on,
        "maintenance_schedule": on,
        "training_schedule": off,
    }
    assert schedules["hourly_schedule"].cron_schedule == "0 * * * *"
    assert all(schedule.execution_timezone == "UTC" for schedule in schedules.values())
    assert {sensor.name: sensor.default_status for sensor in REPOSITORY.sensor_defs} == {
        "alert_sensor": dg.DefaultSensorStatus.RUNNING,
        "failed_hour_sensor": dg.DefaultSensorStatus.RUNNING,
        "production_alias_sensor": dg.DefaultSensorStatus.RUNNING,
    }


def test_a_tick_that_is_evaluated_twice_asks_for_the_same_run() -> None:
    hour = datetime(2025, 6, 29, 12, tzinfo=UTC)
    schedule = next(found for found in REPOSITORY.schedule_defs if found.name == "hourly_schedule")
    keys = set()
    for _ in range(2):
        with dg.build_schedule_context(scheduled_execution_time=hour) as context:
            (request,) = schedule.evaluate_tick(context).run_requests or ()
            keys.add(request.run_key)
            assert request.tags["eth_pipeline/hour"] == "2025-06-29T12:00Z"
    assert keys == {"2025-06-29T12:00Z"}


def test_another_process_loads_exactly_the_same_definitions() -> None:
    """A set in the wrong place gives every process another order, and the UI another graph after every reload.

    They last as long as the process, and its garbage collector does not look at them.
    """
    script = (
        "from eth_pipeline.definitions import defs; import gc; print(len(gc.get_objects()) < gc.get_freeze_count());"
        "print(*[defs.resolve_job_def(n).get_job_snapshot_id() for n in ('hourly', 'training', 'production')])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    here = [defs.resolve_job_def(name).get_job_snapshot_id() for name in ("hourly", "training", "production")]
    assert done.stdout.split() == ["True", *here]
