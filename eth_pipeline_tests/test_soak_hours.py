"""A short soak, from end to end: every kind of trouble on a real home, real runs, no invariant broken.

The figures of a soak of weeks are made by `eth-pipeline soak`; this one shows that the machinery works and that what
it finds in a minute is nothing.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.hours import Soak
from eth_pipeline.soak.invariants import INVARIANTS
from eth_pipeline.soak.plan import SoakPlan, read_plan
from eth_pipeline.soak.report import soak_report, write_report
from eth_pipeline.soak.schedule import Hour, draw_schedule
from eth_pipeline.soak.worker import Order, Worker
from eth_pipeline_tests.promoted_home import PromotedHome, promoted_home, promoted_market
from eth_pipeline_tests.registry_maker import registry_folder

pytestmark = pytest.mark.timeout(900)  # beside other test processes it takes a multiple of its minute
HOURS = 8


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PromotedHome]:
    home = tmp_path_factory.mktemp("soak")
    registry_folder(tmp_path_factory).rename(home / "mlflow")
    with promoted_home(home, market=promoted_market(("ETHUSDT", "BTCUSDT"))) as made:
        yield made


@pytest.fixture(scope="module")
def lived(living: PromotedHome) -> tuple[SoakPlan, tuple[Hour, ...], Diary]:
    """A third of a day with everything in it; the first hour fills the lake."""
    plan = read_plan().model_copy(update={"first_calm_hours": 1, "storm_hours": 5})
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
def test_a_worker_that_is_killed_says_so_and_another_one_takes_over(living: PromotedHome) -> None:
    worker = Worker(living.environment)
    answer = worker.run(Order(die_at_touch=20))
    assert (answer.killed, answer.succeeded) == (True, False)
    assert not worker.is_alive
    worker.stop()
    other = Worker(living.environment)
    answer = other.run(Order(job="failed_hour"))
    other.leave()
    assert answer.succeeded, answer.says
    assert not other.is_alive


def test_every_stream_has_its_truth() -> None:
    from eth_pipeline.soak.truth import _VALUES

    assert set(_VALUES) == set(STREAMS)
