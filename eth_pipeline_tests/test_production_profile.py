"""The production profile, whole: PostgreSQL under Dagster and MLflow, the lake in an object store, real processes.

The demo's own command runs on it first; what a second daemon or a second host does by mistake is tried on what it left.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import ProcessGroup, accepts, free_port
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, record_from_json
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.trading.storage import read_events
from eth_pipeline_tests.object_store import SECRET, ObjectStore, object_store
from eth_pipeline_tests.postgres_server import PASSWORD, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MARKET = {"--years": "0.6", "--strength": "1.7", "--seed": "11"}  # a short one whose candidate is promoted
TRAINING = {"HORIZONS_HOURS": "[5]", "MIN_TRAIN_HOURS": "2400", "REFIT_EVERY_HOURS": "4600", "BOOTSTRAP_SAMPLES": "50"}
GATES = {"MIN_SAMPLES": "2000", "MAX_CALIBRATION_ERROR": "0.05"}  # of seven months instead of years
BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Profile:
    """A host of the production profile: its home, the environment of its processes, what the demo printed."""

    home: Path
    environment: dict[str, str]
    postgres: str
    printed: str
    as_of: datetime
    sandbox: Sandbox

    @contextmanager
    def entered(self) -> Iterator[Settings]:
        """The environment in this process; nothing else of it changes, since threads of lake and store read it."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield load_settings()

    def records(self, hour: datetime) -> list[SignalRecord]:
        """What the lake holds of `hour`."""
        with self.entered() as settings:
            rows = Lake.of(settings).read(SIGNALS)
        return [record for record in map(record_from_json, rows["record"]) if record.decision_time == hour]

    def query(self, database: str, question: str) -> list[tuple[Any, ...]]:
        """Rows that PostgreSQL answers."""
        connection = psycopg2.connect(f"{self.postgres}/{database}")
        try:
            with connection.cursor() as cursor:
                cursor.execute(question)
                return list(cursor.fetchall())
        finally:
            connection.close()


def environment_of(home: Path, store: ObjectStore, postgres: str) -> dict[str, str]:
    """A host's settings, as /etc/eth-pipeline/environment has them."""
    return {
        "ETH_PIPELINE_HOME": str(home),
        "ETH_PIPELINE_POSTGRES_URL": f"{postgres}/dagster",
        "ETH_PIPELINE_MLFLOW_TRACKING_URI": f"{postgres.replace('postgresql', 'postgresql+psycopg2')}/mlflow",
        "ETH_PIPELINE_CROSS_SYMBOLS": "[]",
        **{f"ETH_PIPELINE_TRAINING__{name}": value for name, value in TRAINING.items()},
        **{f"ETH_PIPELINE_GATES__{name}": value for name, value in GATES.items()},
        **store.environment("production"),
    }


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """The profile after `eth-pipeline demo`, and the demo's market in an exchange that goes on."""
    pytest.importorskip("moto", reason="moto[s3] is not installed; it is among the dev dependencies")
    home = tmp_path_factory.mktemp("host") / "home"
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server("dagster", "mlflow"))
        environment = environment_of(home, stack.enter_context(object_store()), postgres)
        demo = ("demo", "--home", str(home), *(part for option in MARKET.items() for part in option))
        printed = call([sys.executable, "-m", "eth_pipeline", *demo], environment)
        plan = MarketPlan.load(home)
        assert plan is not None
        sandbox = stack.enter_context(Sandbox(plan.build(), now=plan.as_of, port=0))
        market = plan.environment(home=home, url=sandbox.url)
        yield Profile(home, {**environment, **market, **own(home)}, postgres, printed, plan.as_of, sandbox)


def call(command: list[str], environment: dict[str, str]) -> str:
    """What a command printed; it must succeed."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def wait_until(condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.3)


def told(home: Path, hour: datetime) -> list[tuple[str, str]]:
    """Run and state of every line of one host's signal log that is about `hour`, oldest first."""
    texts = [path.read_text() for path in sorted((home / "logs").glob("signals_*.jsonl"))]
    lines = [json.loads(line)["data"] for text in texts for line in text.splitlines()]
    return [(line["run_id"], line["state"]) for line in lines if datetime.fromisoformat(line["decision_time"]) == hour]


def test_the_demo_ends_with_a_promoted_model_and_a_signal_of_it(profile: Profile) -> None:
    (record,) = profile.records(floor_hour(profile.as_of))
    assert record.ml.ml_available, record.gating_reason
    assert record.state != "blocked"
    assert "Promotion decision for paper: promoted" in profile.printed


def test_dagster_and_mlflow_keep_everything_in_postgresql_and_the_tables_lie_in_the_store(profile: Profile) -> None:
    ((runs,),) = profile.query("dagster", "SELECT count(*) FROM runs WHERE status = 'SUCCESS'")
    assert runs >= 4, "ingestion, training, bundle, hour"
    assert profile.query("mlflow", "SELECT alias FROM registered_model_aliases ORDER BY alias") == [
        ("candidate",),
        ("production",),
    ]
    assert not list(profile.home.rglob("runs.db"))
    assert not list(profile.home.rglob("mlflow.db"))
    assert not (profile.home / "lake").exists()
    with profile.entered() as settings:
        assert all(Lake.of(settings).version(table) is not None for table in STREAMS.values())


def test_no_file_of_the_host_and_no_row_of_dagster_holds_a_secret(profile: Profile) -> None:
    for path in profile.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert PASSWORD.encode() not in content, path
    for column, table in (("run_body", "runs"), ("event", "event_logs"), ("value", "run_tags")):
        ((found,),) = profile.query(
            "dagster", f"SELECT count(*) FROM {table} WHERE {column} LIKE '%{SECRET}%' OR {column} LIKE '%{PASSWORD}%'"
        )
        assert found == 0, table


def test_two_daemons_that_were_started_by_mistake_leave_one_signal(profile: Profile, tmp_path: Path) -> None:
    """Both meet the same overdue tick of the hourly schedule. Dagster only logs that it is not supported.

    Of two runs one may fail and say `blocked` before the other decides: a blocked hour that lasts may be decided again.
    What nobody may find is a second line to act on.
    """
    hour = advance_to_next_hour(profile)
    port = free_port()
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: eth_pipeline}}\n"
    )
    serve = [str(BIN / "dagster"), "code-server", "start", "-m", "eth_pipeline.definitions"]
    daemon = [str(BIN / "dagster-daemon"), "run", "-w", str(workspace)]
    with ProcessGroup(logs=tmp_path / "logs", environment=profile.environment) as group, profile.entered() as settings:
        group.start("code-server", [*serve, "--location-name", "eth_pipeline", "-h", "127.0.0.1", "-p", str(port)])
        group.wait_until("code-server", lambda: accepts(port), timeout_seconds=PATIENCE_SECONDS)
        with open_instance(settings) as instance:
            make_the_hourly_schedule_overdue(instance, port)
            for name in ("one", "other"):
                group.start(name, daemon)
            log = [tmp_path / "logs" / f"{name}.log" for name in ("one", "other")]
            wait_until(lambda: both_looked(log) and ended(instance), what="the run of the overdue tick")
            runs = instance.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": "hourly_schedule"}))
            # one hour, or two where a full hour of this host's clock passes meanwhile
            assert all(run.tags["dagster/run_key"] == run.tags["eth_pipeline/hour"] for run in runs)
        assert not group.dead()
    (record,) = profile.records(hour)
    assert record.run_id in {run.run_id for run in runs}
    lines = told(profile.home, hour)
    assert lines[-1] == (record.run_id, record.state), lines
    assert [state for _, state in lines].count("blocked") == len(lines) - 1, lines


def test_two_hosts_that_run_the_hour_at_once_leave_one_signal_and_no_other_line(
    profile: Profile, tmp_path: Path
) -> None:
    """The second host has no bundle: it would have decided otherwise, and may not replace what the first has said.

    A host that comes when the record already stands completes its own log with it, as after a run that died.
    """
    hour = advance_to_next_hour(profile)
    homes = (profile.home, tmp_path / "other")
    command = [str(BIN / "dagster"), "job", "execute", "-m", "eth_pipeline.definitions", "-j", "hourly"]
    with profile.entered() as settings:
        open_instance(settings.model_copy(update={"home": homes[1]})).dispose()
    with ThreadPoolExecutor(len(homes)) as pool:
        list(pool.map(lambda home: call(command, {**profile.environment, **own(home)}), homes))
    (record,) = profile.records(hour)
    lines = [told(home, hour) for home in homes]
    assert all(line == (record.run_id, record.state) for of_home in lines for line in of_home), lines
    assert sorted(len(of_home) for of_home in lines) in ([0, 1], [1, 1])
    with profile.entered() as settings:
        sequences = [event.sequence for event in read_events(Lake.of(settings), settings=settings)]
    assert sequences == list(range(len(sequences)))


def own(home: Path) -> dict[str, str]:
    return {"ETH_PIPELINE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}


def advance_to_next_hour(profile: Profile) -> datetime:
    """The exchange's next full hour, 20 s after it."""
    hour = floor_hour(profile.sandbox.clock.now()) + HOUR
    profile.sandbox.clock.set(hour + timedelta(seconds=20))
    return hour


def make_the_hourly_schedule_overdue(instance: dg.DagsterInstance, port: int) -> None:
    """As after an outage: the schedule was switched on an hour ago and its last full hour had no tick."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import GrpcServerTarget

    target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="eth_pipeline")
    with WorkspaceProcessContext(instance, target) as context:
        location = context.create_request_context().get_code_location("eth_pipeline")
        schedule = location.get_repository("__repository__").get_schedule("hourly_schedule")
        an_hour_ago = datetime.now(UTC).timestamp() - HOUR.total_seconds()
        instance.add_instigator_state(
            InstigatorState(
                schedule.get_remote_origin(),
                InstigatorType.SCHEDULE,
                InstigatorStatus.DECLARED_IN_CODE,
                ScheduleInstigatorData(schedule.cron_schedule, an_hour_ago),
            )
        )


def both_looked(logs: list[Path]) -> bool:
    """Both daemons are at work, and at least one has noticed the other."""
    texts = [path.read_text() for path in logs]
    return all("Evaluating schedule" in text or "Another SCHEDULER daemon" in text for text in texts)


def ended(instance: dg.DagsterInstance) -> bool:
    """Every run of the schedule has ended, and there is one."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": "hourly_schedule"}))
    return bool(runs) and all(run.is_finished for run in runs)
