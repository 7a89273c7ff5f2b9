"""The schedule of a soak: every trouble, in storms only, the same for the same seed."""

from pathlib import Path

import pytest
import yaml

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.faults import KINDS
from eth_pipeline.soak.plan import DEFAULT_PLAN, read_plan
from eth_pipeline.soak.schedule import InForce, counts, draw_schedule

PLAN = read_plan()


def test_the_plan_that_comes_along_knows_every_fault_of_the_exchange() -> None:
    kinds = {trouble.fault["kind"] for trouble in PLAN.troubles.values() if trouble.fault is not None}
    assert kinds == set(KINDS)


def test_the_same_seed_draws_the_same_schedule_and_another_one_another() -> None:
    assert draw_schedule(PLAN, days=3, seed=4) == draw_schedule(PLAN, days=3, seed=4)
    assert draw_schedule(PLAN, days=3, seed=4) != draw_schedule(PLAN, days=3, seed=5)


@pytest.mark.parametrize("days", [0.5, 2, 30])
def test_every_trouble_comes_as_often_as_planned_and_at_least_once(days: float) -> None:
    schedule = draw_schedule(PLAN, days=days, seed=1)
    assert len(schedule) == days * 24
    found = counts(schedule)
    assert found == {name: max(1, round(trouble.per_day * days)) for name, trouble in sorted(PLAN.troubles.items())}


def test_troubles_begin_in_storms_only() -> None:
    schedule = draw_schedule(PLAN, days=10, seed=1)
    assert not [hour.number for hour in schedule if hour.begins and not hour.is_stormy]
    assert not any(hour.is_stormy for hour in schedule[: PLAN.first_calm_hours])
    assert sum(hour.is_stormy for hour in schedule) == pytest.approx(120, abs=6)


def test_no_hour_has_two_troubles_of_the_host_while_another_has_none() -> None:
    schedule = draw_schedule(PLAN, days=10, seed=1)
    hosts = [sum(b.trouble.host is not None for b in hour.begins) for hour in schedule if hour.is_stormy]
    assert max(hosts) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"troubles": {"odd": {"per_day": 1, "fault": {"kind": "earthquake"}}}},
        {"troubles": {"odd": {"per_day": 1}}},
        {"troubles": {"odd": {"per_day": 1, "host": "kill", "model": "promote"}}},
        {"storm_hours": 0},
        {"unknown": 1},
    ],
)
def test_a_wrong_plan_is_refused_with_its_file_named(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(DEFAULT_PLAN.read_text()), **change}))
    with pytest.raises(SettingsInvalid, match=r"plan\.yaml is no plan"):
        read_plan(path)


def test_an_absent_plan_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match=r"nowhere\.yaml cannot be read.*--faults"):
        read_plan(Path("nowhere.yaml"))


def test_calm_begins_four_hours_after_the_last_trouble() -> None:
    in_force = InForce()
    assert in_force.is_calm(0), "nothing has happened yet"
    in_force.extend("down", last=2)
    in_force.extend("slow", last=1)
    assert [in_force.names(number) for number in (1, 2, 3)] == [("down", "slow"), ("down",), ()]
    assert [in_force.is_calm(number) for number in (5, 6)] == [False, True]
    in_force.extend("expired", last=9)
    in_force.clear()
    assert in_force.names(7) == ()
