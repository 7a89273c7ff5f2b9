"""A training node over gRPC: runs asked for at the host execute there, and a node that is gone ends in a failed run."""

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.cli.processes import free_port
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.definitions import PLAN_JOBS, defs, node
from eth_pipeline.defs.alerts import failed_runs
from eth_pipeline.defs.node_runs import NodeRunLauncher
from eth_pipeline_tests.node_hosts import START_SECONDS, Host, Machine, serve_host, serve_node
from eth_pipeline_tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
NOBODY = {f"ETH_PIPELINE_EXCHANGE__{name}_URL": "http://127.0.0.1:9" for name in ("FUTURES", "SPOT", "ARCHIVE")}


@dataclass
class OneMachine:
    """Host and node as processes of one machine, which share the SQLite storage below one home."""

    machine: Machine
    host: Host
    port: int

    def node(self) -> psutil.Process:
        """The node's server, started where it is not there."""
        process = self.machine.running.get("node")
        if process is None:
            return serve_node(self.machine, host="127.0.0.1", port=self.port)
        return psutil.Process(process.pid)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneMachine]:
    port = free_port()
    with Machine(tmp_path_factory.mktemp("node") / "home", NOBODY) as machine:
        serve_node(machine, host="127.0.0.1", port=port)
        host = serve_host(machine, node="127.0.0.1", node_port=port, web_port=free_port())
        yield OneMachine(machine, host, port)


@pytest.mark.slow
def test_a_run_asked_for_at_the_host_executes_in_the_nodes_process(together: OneMachine) -> None:
    server = together.node()
    run_id = together.host.launched("features")
    children: set[int] = set()

    def ended() -> bool:
        children.update(child.pid for child in server.children(recursive=True))
        return together.host.run(run_id).ended

    wait_until(ended, seconds=START_SECONDS)
    run = together.host.run(run_id)
    assert run.status == "SUCCESS", run.messages
    worker = next(int(word.strip(").")) for word in run.messages.split("pid: ")[1].split()[:1])
    assert worker in children, "the run's process is a child of the node's server"
    assert run.tags["dagster/code_location"] == "h800"
    assert "features: 0 hours rebuilt" in run.messages, "logs written on the node arrive at the host"
    assert run.metadata()["rows"] == 0, "so does metadata"


def held_back(machine: Machine) -> None:
    """A lake whose first table opens and never answers, as a file server that hangs: a run that lasts."""
    log = Path(machine.environment.get("ETH_PIPELINE_LAKE_URL", machine.home / "lake")) / "klines" / "_delta_log"
    log.mkdir(parents=True)
    os.mkfifo(log / f"{0:020}.json")


def monitor(machine: Machine, *, silence_seconds: float) -> dict[str, str]:
    """One look of the daemon's run monitor, with its patience; what the alert sensor then tells of each failed run."""
    with machine_instance(machine, silence_seconds=silence_seconds) as instance:
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
            problems = list(execute_run_monitoring_iteration(workspace, logging.getLogger("monitor")))
        assert not any(problems), problems
        failed = failed_runs(instance, since=SystemClock().now() - timedelta(minutes=10))
        return {run.run_id: run.error for run in failed}


@contextmanager
def machine_instance(machine: Machine, *, silence_seconds: float) -> Iterator[dg.DagsterInstance]:
    """The instance of the home, its launcher losing patience sooner."""
    folder = machine.home / "dagster"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.environment.items():
            patch.setenv(name, value)
        patch.setenv("ETH_PIPELINE_HOME", str(machine.home))
        patch.setenv("DAGSTER_HOME", str(folder))
        with dg.DagsterInstance.from_config(str(folder)) as default:
            launcher = NodeRunLauncher(locations=["h800"], silence_seconds=silence_seconds)
            launcher.register_instance(default)
            default._run_launcher = launcher
            yield default


@pytest.mark.slow
def test_a_node_that_dies_under_a_run_ends_in_a_failed_run_and_an_alert(together: OneMachine) -> None:
    """With Dagster's own launcher the run stayed "started" for ever and kept its place in the queue."""
    together.node()
    held_back(together.machine)
    try:
        run_id = together.host.launched("features")
        wait_until(lambda: together.host.run(run_id).status == "STARTED", seconds=60)
        assert run_id not in monitor(together.machine, silence_seconds=0.0), "a run that lasts is left alone"
        together.machine.kill("node")
        assert run_id not in monitor(together.machine, silence_seconds=300.0), "a node may be back in a minute"
        told = monitor(together.machine, silence_seconds=0.0)
        assert together.host.run(run_id).status == "FAILURE"
        assert "the node h800 has not answered for 0 s" in told[run_id]
    finally:
        shutil.rmtree(together.machine.home / "lake")


@pytest.mark.slow
def test_a_run_whose_node_was_started_anew_is_not_taken_for_alive(together: OneMachine) -> None:
    """The new server answers, so silence alone would never end the run."""
    together.node()
    held_back(together.machine)
    try:
        run_id = together.host.launched("features")
        wait_until(lambda: together.host.run(run_id).status == "STARTED", seconds=60)
        together.machine.kill("node")
        together.node()
        assert "does not know this run any more" in monitor(together.machine, silence_seconds=300.0)[run_id]
    finally:
        shutil.rmtree(together.machine.home / "lake")


@contextmanager
def asleep(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process and its children do nothing meanwhile."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_run_that_is_due_while_the_node_is_started_anew_waits_for_it(together: OneMachine) -> None:
    """It failed at once: on a busy machine a daemon that had not reached the node yet lost the first run asked for."""
    together.node()
    with asleep(together.machine.running["daemon"]):
        run_id = together.host.launched("features")
        together.machine.kill("node")
    again = "re-submitting the run into the queue"
    wait_until(lambda: again in together.host.run(run_id).messages, seconds=START_SECONDS)
    together.node()
    wait_until(lambda: together.host.run(run_id).ended, seconds=START_SECONDS)
    assert together.host.run(run_id).status == "SUCCESS", together.host.run(run_id).messages


@pytest.mark.slow
def test_a_run_whose_node_does_not_come_back_fails_and_says_why(together: OneMachine) -> None:
    together.node()
    with asleep(together.machine.running["daemon"]):
        run_id = together.host.launched("features")
        together.machine.kill("node")
    wait_until(lambda: together.host.run(run_id).ended, seconds=START_SECONDS)
    assert together.host.run(run_id).status == "FAILURE"
    assert "connect" in monitor(together.machine, silence_seconds=0.0)[run_id].lower()


@pytest.mark.slow
def test_a_run_asked_for_where_the_node_is_known_to_be_down_says_why(together: OneMachine) -> None:
    together.node()
    together.machine.kill("node")
    launched = together.host.launch("features")
    if launched["__typename"] == "LaunchRunSuccess":  # the webserver has not noticed yet
        run_id = launched["run"]["runId"]
        wait_until(lambda: together.host.run(run_id).ended, seconds=START_SECONDS)
        assert "connect" in monitor(together.machine, silence_seconds=0.0)[run_id].lower()
    else:
        assert "reach" in launched["message"], launched


def test_a_node_has_the_trainings_and_neither_schedule_nor_sensor() -> None:
    """The host's daemon evaluates what every location brings: with schedules here each hour would be decided twice."""
    served = node().get_repository_def()
    assert served.schedule_defs == []
    assert served.sensor_defs == []
    names = {key.to_user_string() for key in served.asset_graph.materializable_asset_keys}
    assert {asset for stage in PLAN_JOBS.values() for asset in stage} <= names
    assert names.isdisjoint({"promotion_decision", "production_bundle", "hourly_signal", "klines"})
    assert names < {key.to_user_string() for key in defs.get_repository_def().asset_graph.materializable_asset_keys}


def test_the_workspace_of_the_host_names_the_location_that_the_instance_watches_and_limits() -> None:
    workspace = yaml.safe_load((REPOSITORY / "h800" / "workspace.node.yaml").read_text())
    instance = yaml.safe_load((REPOSITORY / "eth_pipeline" / "defs" / "dagster.yaml").read_text())
    locations = [entry["grpc_server"]["location_name"] for entry in workspace["load_from"]]
    watched = instance["run_launcher"]["config"]["locations"]
    limited = {limit["value"]: limit["limit"] for limit in instance["run_queue"]["tag_concurrency_limits"]}
    assert set(watched) < set(locations)
    assert set(limited) == set(locations)
    assert sum(limited.values()) <= instance["run_queue"]["max_concurrent_runs"], "no location takes another's place"


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_node_that_would_listen_on_every_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    refused = CliRunner().invoke(app, ["node", "serve", "--host", address])
    assert refused.exit_code == 1
    assert "127.0.0.1 behind a tunnel" in refused.stderr
