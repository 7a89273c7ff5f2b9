"""The training plan of the node, interrupted in every stage on its way, and the lines of its guide.

One plan at the smallest size is walked once, by a module fixture, on a node that has nothing but a host's snapshot:
killed or interrupted in the middle of each stage, taken up again each time, and collected for the host at the end. The
tests look at what it left.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import dagster as dg
import pytest
from click import BaseCommand
from click.testing import CliRunner, Result
from dagster._cli import cli as dagster_cli
from typer.main import get_command

from eth_pipeline.cli import app
from eth_pipeline.contracts.artifact import METRICS, RUNTIME_CONTRACT, RuntimeContract
from eth_pipeline.defs.assets.candidate import newest_candidate
from eth_pipeline.defs.jobs import PLAN_JOBS
from eth_pipeline.defs.plan_work import INPUTS_TAG, PLAN_TAG, STAGE_TAG
from eth_pipeline.operations.plan.state import PlanState, stored_states
from eth_pipeline.registry.bundles.keys import init_keys
from eth_pipeline.registry.bundles.trained import RECORD
from eth_pipeline.registry.bundles.verification import fingerprint
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline_tests.registry_maker import registry_folder
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import TWO_SYMBOLS_BY_THE_HOUR, SmallHome, small_home
from eth_pipeline_tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "h800"
PATIENCE_SECONDS = 280
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALLEST = {
    "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
    "ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS": str(24 * 40),
    "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "50",
}
"""One horizon; a vintage may learn from 40 days."""


@dataclass(frozen=True)
class Stop:
    """Where a plan is stopped: after a line of it, while it reads `held` (a glob below the home), by a signal."""

    stage: str
    line: str
    held: str | None
    by: signal.Signals


STOPS = (
    Stop("base", "[base] 1/6 ", None, signal.SIGKILL),
    Stop("stacking", "[stacking] runs:", f"trained/lightgbm-*/{RECORD}", signal.SIGINT),
    Stop("onnx", "[onnx] runs:", f"candidates/*/{RUNTIME_CONTRACT}", signal.SIGKILL),
    Stop("report", "[report] runs:", f"candidates/*/{METRICS}", signal.SIGINT),
)


@dataclass(frozen=True)
class Planned:
    """Both homes after the plan, how each start but the last ended, and the summary that the last one printed.

    Attributes:
        host: knows the exchange; the snapshot is its.
        home: the node's.
        exit_codes: of the starts that were stopped, by stage.
        left: the record as each of them left it.
        summary: of the plan.
    """

    host: SmallHome
    home: SmallHome
    exit_codes: dict[str, int]
    left: dict[str, PlanState]
    summary: dict[str, Any]

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.summary["stages"]
        return found


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planned]:
    """`all` at scale tiny on a node, stopped in the middle of every stage, then let through; the way there and back."""
    base = tmp_path_factory.mktemp("h800")
    shared = shared_folder(tmp_path_factory)
    with small_home(base / "host", smaller=TWO_SYMBOLS_BY_THE_HOUR, shared=shared) as host:
        host.environment.update(SMALLEST)
        home = node_of(host, base / "node", carried=base / "snapshot.zip")
        registry_folder(tmp_path_factory).rename(home.folder / "mlflow")
        codes, left = {}, {}
        for stop in STOPS:
            codes[stop.stage] = stopped(home, stop)
            (left[stop.stage],) = stored_states(home.folder)
        last = plan_command(home, "all", "--json")
        assert last.exit_code == 0, last.output
        bundle(home, "collect", str(base / "candidates.zip"))
        bundle(host, "import", "--candidates", str(base / "candidates.zip"))
        yield Planned(host, home, codes, left, json.loads(last.stdout))


def node_of(host: SmallHome, folder: Path, *, carried: Path) -> SmallHome:
    """A home that has the host's snapshot and its key, and no exchange that answers."""
    keys = {
        home: init_keys(private_key=home / "keys" / "bundle.key", public_key=home / "keys" / "bundle.pub").public_key
        for home in (host.folder, folder)
    }
    host.environment["ETH_PIPELINE_PEER_PUBLIC_KEYS"] = json.dumps([str(keys[folder])])
    nobody = {f"ETH_PIPELINE_EXCHANGE__{door}_URL": "http://127.0.0.1:9" for door in ("FUTURES", "SPOT", "ARCHIVE")}
    environment = {
        "ETH_PIPELINE_HOME": str(folder),
        "ETH_PIPELINE_PEER_PUBLIC_KEYS": json.dumps([str(keys[host.folder])]),
        "ETH_PIPELINE_EXCHANGE__ATTEMPTS": "1",
        "ETH_PIPELINE_COMMAND": str(Path(sys.executable).parent / "eth-pipeline"),
        **nobody,
    }
    node = SmallHome(folder, host.sandbox, environment)
    bundle(host, "export", "--snapshot", str(carried))
    bundle(node, "import", "--snapshot", str(carried))
    environment["ETH_PIPELINE_CONFIG"] = str(folder / "snapshot" / "settings.toml")
    return node


def bundle(home: SmallHome, *arguments: str) -> Result:
    """A step over the gap."""
    done = in_process(home, get_command(app), "bundle", *arguments)
    assert done.exit_code == 0, done.output
    return done


def started(home: SmallHome) -> subprocess.Popen[str]:
    """The plan at scale tiny, as cron starts it."""
    return subprocess.Popen(
        [str(SCRIPTS / "run_training_plan.sh"), "all", "--scale", "tiny"],
        env={**os.environ, **home.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(home: SmallHome, stop: Stop) -> int:
    """Start the plan, stop it where `stop` says; its exit code."""
    process = started(home)
    deadline = threading.Timer(PATIENCE_SECONDS, process.kill)
    deadline.start()
    try:
        assert process.stderr is not None
        wait_for_line(process.stderr, stop.line)
        if stop.held is None:
            process.send_signal(stop.by)
            process.communicate()
        else:
            (path,) = home.folder.glob(stop.held)
            with read_by_somebody(path):
                process.send_signal(stop.by)
                process.communicate()
        return process.returncode
    finally:
        process.kill()
        deadline.cancel()


def wait_for_line(stream: IO[str], begin: str) -> None:
    """Until a line that begins so was printed."""
    seen = []
    for text in stream:
        seen.append(text)
        if text.startswith(begin):
            return
    pytest.fail(f"{begin!r} was never printed:\n{''.join(seen)}")


@contextmanager
def read_by_somebody(path: Path) -> Iterator[None]:
    """`path` as a file of a server that hangs: entered once somebody has opened it, who then waits for its content."""
    kept = path.rename(path.with_name(f"{path.name}.kept"))
    os.mkfifo(path)
    writer = wait_until(lambda: opened_for_writing(path), seconds=PATIENCE_SECONDS)
    try:
        yield
    finally:
        os.close(writer)
        kept.rename(path)


def opened_for_writing(pipe: Path) -> int | None:
    """A descriptor, as soon as the other end is open."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def plan_runs_of(instance: dg.DagsterInstance, asset: str) -> list[str]:
    """Runs of plans that materialized an asset."""
    found = instance.fetch_materializations(dg.AssetKey(asset), limit=20).records
    runs = (instance.get_run_by_id(record.run_id) for record in found)
    return [run.run_id for run in runs if run is not None and PLAN_TAG in run.tags]


def in_process(home: SmallHome, command: BaseCommand, *arguments: str) -> Result:
    """A command in this process, from the checkout, with the home's environment."""
    before = signal.getsignal(signal.SIGTERM)  # a plan takes SIGTERM for itself
    try:
        with home.entered(), chdir(REPOSITORY):
            return CliRunner().invoke(command, list(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)


def plan_command(home: SmallHome, *arguments: str) -> Result:
    return in_process(home, get_command(app), "plan", "run", *arguments, "--scale", "tiny")


def test_a_plan_stopped_in_every_stage_completes_without_repeating_finished_work(planned: Planned) -> None:
    assert planned.exit_codes == {"base": -signal.SIGKILL, "stacking": 130, "onnx": -signal.SIGKILL, "report": 130}
    summary, stages = planned.summary, planned.stages
    assert summary["starts"] == len(STOPS) + 1
    assert {name: s["outcome"] for name, s in stages.items()} == {
        **dict.fromkeys(PLAN_STAGES[:-1], "skipped"),
        "report": "done",
    }
    with planned.home.entered() as instance:
        made = {name: len(plan_runs_of(instance, name)) for assets in PLAN_JOBS.values() for name in assets}
        assert made == dict.fromkeys(made, 1)
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))


PLAN_STAGES = ("data", "base", "stacking", "onnx", "report")


def test_every_start_took_the_plan_up_where_the_last_one_was_stopped(planned: Planned) -> None:
    for number, stop in enumerate(STOPS, start=1):
        state = planned.left[stop.stage]
        assert state.starts == number
        before = PLAN_STAGES[: PLAN_STAGES.index(stop.stage)]
        assert all(state.stages[name].outcome in ("done", "skipped") for name in before), stop
        told = ("running", "running") if stop.by is signal.SIGKILL else ("interrupted", "interrupted")
        assert (state.outcome, state.stages[stop.stage].outcome) == told, "who is killed cannot write it down"
    base = planned.left["stacking"].stages["base"]
    assert base.kept, "the asset that was finished before the kill"
    assert base.made
    assert {*base.kept, *base.made} == set(PLAN_JOBS["plan_base"])
    assert base.peak_memory_megabytes > 50


def test_the_plan_leaves_a_bundle_of_every_algorithm_its_lineage_and_a_summary(planned: Planned) -> None:
    home, summary, stages = planned.home, planned.summary, planned.stages
    assert {f["algorithm"] for f in summary["comparison"]["algorithms"]} == {
        "lightgbm",
        "cross_asset",
        "lstm",
        "tft",
        "stacking",
    }
    with home.entered() as instance:
        lineage = instance.get_run_by_id(stages["stacking"]["run_ids"][-1])
        assert lineage is not None
        assert (lineage.tags[PLAN_TAG], lineage.tags[STAGE_TAG]) == (summary["plan_id"], "stacking")
        assert lineage.tags[INPUTS_TAG] == stages["stacking"]["digest"]
        bundle = newest_candidate(instance)
    contract = RuntimeContract.model_validate_json((bundle / RUNTIME_CONTRACT).read_bytes())
    assert {model.algorithm for model in contract.models} == {"lightgbm", "cross_asset", "lstm", "tft"}
    assert contract.window_hours == 4, "the scale's settings reached the trainings"
    assert contract.stacks
    assert contract.regime is not None
    text = (home.folder / "plans" / summary["plan_id"] / "summary.md").read_text()
    assert "| report | done |" in text
    assert "| stacking | 5 h |" in text


def test_a_finished_plan_says_that_nothing_would_run(planned: Planned) -> None:
    asked = plan_command(planned.home, "all", "--check-only", "--json")
    assert asked.exit_code == 0, asked.output
    would = json.loads(asked.stdout)
    assert [each["runs"] for each in would["stages"]] == [False] * 5
    assert all(each["why"] == "finished before, on the same inputs" for each in would["stages"])
    assert {check["name"] for check in would["checks"]} == {"memory", "shared memory", "disk", "clock", "data"}


def test_the_host_admits_what_the_plan_made_of_its_snapshot(planned: Planned) -> None:
    """The way over the gap as a user walks it, with the plan in the middle."""
    with planned.home.entered() as instance:
        made = fingerprint(newest_candidate(instance))
    with planned.host.entered() as instance:
        admitted = newest_candidate(instance)
    assert fingerprint(admitted) == made == planned.summary["comparison"]["fingerprint"]
    assert admitted.parent == planned.host.folder / "candidates"
    (line,) = Crossings(planned.host.folder).imported()
    stages = planned.stages
    assert line.node_runs["candidate_bundle"] == stages["stacking"]["run_ids"][-1]
    assert line.node_runs["lightgbm_model"] in stages["base"]["run_ids"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("everything",), 2, "Choose from: all, data, base"),
        (("all", "--timeframe", "4h"), 2, "No model is trained for 4h"),
        (("all", "--symbol", "DOGEUSDT", "--check-only"), 3, "holds no bar of DOGEUSDT"),
    ],
)
def test_cron_can_tell_wrong_usage_from_a_host_that_is_not_ready(
    planned: Planned, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused = plan_command(planned.home, *arguments)
    assert refused.exit_code == code, refused.output
    assert said in refused.stderr


def test_the_lines_of_the_guide_backfill_a_home_as_they_stand(planned: Planned) -> None:
    """Each in this process: to import what it needs again and again would take longer than what it does."""
    text = (REPOSITORY / "docs" / "h800.md").read_text()
    found = re.search(r"^## Backfills\n.*?^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    lines, home = found[1].strip().splitlines(), planned.host
    for what in ("market_history", "features", "vintages train", "rebuilt_history", "signal_history"):
        assert what in " ".join(lines)
    programs = {"dagster": dagster_cli, "eth-pipeline": get_command(app)}
    for line in lines:
        program, *arguments = shlex.split(line)
        done = in_process(home, programs[program], *arguments)
        assert done.exit_code == 0, f"{line}\n{done.output[-2000:]}"
    with home.entered() as instance:
        for asset in ("market_history", "model_vintage", "historical_forecasts", "rebuilt_history"):
            months = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert months >= {"2025-05-01", "2025-06-01"}, asset
        assert instance.get_materialized_partitions(dg.AssetKey("signal_history")) >= {"2025-06-28", "2025-06-29"}
