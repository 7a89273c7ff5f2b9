"""The launcher that watches nodes leaves every other run alone; with real nodes: test_cli_node, test_node_two_hosts."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from eth_pipeline.cli.processes import free_port
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.node_runs import LOCATION_TAG, NodeRunLauncher
from eth_pipeline.settings import load_settings


def run(**tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="training", tags=tags)


def gone() -> str:
    """Where a run was started, and nobody listens."""
    return json.dumps({"host": "127.0.0.1", "port": free_port()})


def test_every_home_has_the_launcher_and_the_run_monitor_asks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")
    with open_instance(load_settings()) as instance:
        assert isinstance(instance.run_launcher, NodeRunLauncher)
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled


def test_a_run_of_the_host_itself_or_of_a_command_is_never_judged() -> None:
    """A vintage trained by the command line has no server to ask; it must not be taken for dead."""
    launcher = NodeRunLauncher(locations=["h800"], silence_seconds=0.0)
    own = run(**{LOCATION_TAG: "eth_pipeline", ".dagster/grpc_info": gone()})
    for healthy in (run(), run(**{LOCATION_TAG: "h800"}), own):
        assert launcher.check_run_worker_health(healthy).status is WorkerStatus.RUNNING


def test_silence_counts_after_its_time_and_from_the_first_silent_look() -> None:
    lost = run(**{LOCATION_TAG: "h800", ".dagster/grpc_info": gone()})
    patient = NodeRunLauncher(locations=["h800"], silence_seconds=3600.0)
    assert [patient.check_run_worker_health(lost).status for _ in range(2)] == [WorkerStatus.RUNNING] * 2
    verdict = NodeRunLauncher(locations=["h800"], silence_seconds=0.0).check_run_worker_health(lost)
    assert verdict.status is WorkerStatus.FAILED
    assert "the node h800 has not answered" in str(verdict.msg)
