"""A short soak, from end to end: every kind of trouble on a real home, real runs, no invariant broken.

The figures of a soak of weeks are made by `eth-pipeline soak`; this one shows that the machinery works and that what
it finds in a minute is nothing.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.settings import load_settings
from eth_pipeline.soak.crew import Crew
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.hours import Soak
from eth_pipeline.soak.invariants import INVARIANTS
from eth_pipeline.soak.orders import Order
from eth_pipeline.soak.plan import SoakPlan, read_plan
from eth_pipeline.soak.report import soak_report, write_report
from eth_pipeline.soak.schedule import Hour, draw_schedule
from eth_pipeline.soak.worker import Worker, log_file
from eth_pipeline_tests.promoted_home import PromotedHome, promoted_home, promoted_market
from eth_pipeline_tests.registry_maker import registry_folder
from eth_pipeline_tests.small_home import AS_OF

pytestmark = pytest.mark.timeout(1800)  # beside other test processes it takes a multiple of its minute
HOURS = 48
AGAIN_HOURS = 3
_NO_RACE = ("again", "read_only_lake", "powered_off")


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PromotedHome]:
    home = tmp_path_factory.mktemp("soak")
    registry_folder(tmp_path_factory).rename(home / "mlflow")
    with promoted_home(home, market=promoted_market(("ETHUSDT", "BTCUSDT"))) as made:
        shutil.copytree(home, as_promoted(made))
        yield made


def as_promoted(living: PromotedHome) -> Path:
    """A copy of the home from before its first hour."""
    return living.settings.home.with_name("as-promoted")


@pytest.fixture(scope="module")
def lived(living: PromotedHome) -> tuple[SoakPlan, tuple[Hour, ...], Diary]:
    """Two days with everything in them; the first hour fills the lake."""
    plan = read_plan()
    schedule = draw_schedule(plan, days=HOURS / 24, seed=3)
    with Soak(
        plan,
        sandbox=living.sandbox,
        settings=living.settings,
        environment=living.environment,
        monotonic=time.monotonic,
    ) as soak:
        return plan, schedule, soak.live(schedule)


@pytest.mark.slow
def test_whatever_fails_no_invariant_is_broken(lived: tuple[SoakPlan, tuple[Hour, ...], Diary]) -> None:
    _, _, diary = lived
    assert diary.violations == []


@pytest.mark.slow
def test_every_trouble_was_in_force_and_they_had_an_effect(lived: tuple[SoakPlan, tuple[Hour, ...], Diary]) -> None:
    plan, schedule, diary = lived
    assert {name for hour in diary.hours for name in hour.troubles} == set(plan.troubles)
    assert len(diary.hours) == len(schedule) + 1, "and the healing hour"
    assert {outcome for hour in diary.hours for outcome in hour.outcome} == {"done", "failed", "killed"}
    assert {hour.state for hour in diary.hours} >= {"tradeable", "blocked"}


@pytest.mark.slow
def test_the_report_names_every_invariant_and_its_digest_ignores_the_machine(
    lived: tuple[SoakPlan, tuple[Hour, ...], Diary], tmp_path: Path
) -> None:
    _, schedule, diary = lived
    made = soak_report(diary, schedule=schedule, seed=3, days=HOURS / 24)
    page = write_report(tmp_path, made).read_text()
    assert all(name in page for name in INVARIANTS)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "soak.json").read_text())["digest"] == made["digest"]
    slower = [Lived(**{**vars(hour), "seconds": 99.0}) for hour in diary.hours]
    other = Diary(diary.first, hours=slower, samples=diary.samples, violations=diary.violations)
    assert soak_report(other, schedule=schedule, seed=3, days=HOURS / 24)["digest"] == made["digest"]
    changed = [*slower[:-1], Lived(**{**vars(slower[-1]), "state": "blocked"})]
    other = Diary(diary.first, hours=changed, samples=diary.samples, violations=diary.violations)
    assert soak_report(other, schedule=schedule, seed=3, days=HOURS / 24)["digest"] != made["digest"]


@pytest.mark.slow
def test_two_soaks_of_one_seed_report_the_same(
    living: PromotedHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kill and without two schedulers: which of two processes comes first the machine decides."""
    whole = read_plan()
    kept = {name: t for name, t in whole.troubles.items() if t.fault is not None or t.host in _NO_RACE}
    plan = whole.model_copy(update={"troubles": kept, "first_calm_hours": 1})
    schedule = draw_schedule(plan, days=AGAIN_HOURS / 24, seed=5)
    reports = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        shutil.copytree(as_promoted(living), folder)
        diary = soaked(living, folder, plan, schedule, monkeypatch)
        reports.append(soak_report(diary, schedule=schedule, seed=5, days=AGAIN_HOURS / 24))
    assert reports[0]["decided"] == reports[1]["decided"]
    assert reports[0]["digest"] == reports[1]["digest"]
    assert reports[0]["passed"]
    assert len({hour["state"] for hour in reports[0]["decided"]["hours"]}) > 1, "the troubles had an effect"


def soaked(
    living: PromotedHome, folder: Path, plan: SoakPlan, schedule: tuple[Hour, ...], monkeypatch: pytest.MonkeyPatch
) -> Diary:
    """One soak of the home in `folder`, on an exchange of its own at the first hour."""
    with Sandbox(living.sandbox.market, now=AS_OF) as sandbox:
        urls = {name: sandbox.url for name in living.environment if name.endswith("_URL")}
        environment = {**living.environment, **urls, "ETH_PIPELINE_HOME": str(folder)}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with Soak(
            plan, sandbox=sandbox, settings=load_settings(), environment=environment, monotonic=time.monotonic
        ) as soak:
            return soak.live(schedule)


@pytest.mark.slow
def test_a_worker_that_is_killed_says_so_and_another_one_takes_over(living: PromotedHome) -> None:
    with Crew(living.environment) as crew:
        killed, after = crew.run(Order(die_at_touch=20)), crew.run(Order(job="failed_hour"))
        assert (killed.killed, killed.succeeded, crew.worker_hours) == (True, False, 0)
        assert after.succeeded, after.says
        crew.keep_spare()
        crew.replace_worker(politely=True)
        of_the_spare = crew.run(Order(job="failed_hour"))
        assert of_the_spare.succeeded, of_the_spare.says


@pytest.mark.slow
def test_a_process_that_cannot_start_says_where_to_look(living: PromotedHome) -> None:
    worker = Worker({**living.environment, "ETH_PIPELINE_PHASE": "neither"})
    with pytest.raises(NeedsHuman, match=r"soak-workers.log says why"):
        worker.run(Order())
    worker.stop()
    assert not worker.is_alive
    assert "phase" in log_file(living.settings.home).read_text()


def test_every_stream_has_its_truth() -> None:
    from eth_pipeline.soak.truth import _VALUES

    assert set(_VALUES) == set(STREAMS)


def test_what_workers_are_forked_with_starts_no_thread() -> None:
    """A fork inherits what a thread holds and not the thread; importing onnxruntime, for one, starts one."""
    code = """
import os
import eth_pipeline.soak.worker
before = len(os.listdir("/proc/self/task"))
import eth_pipeline.soak.preloaded
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0"]
