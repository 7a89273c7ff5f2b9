"""Tests of eth_pipeline.operations.plan: the plan file, the record, bounded processes, the checks before a start."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.operations.host_health import No
from eth_pipeline.operations.plan import preflight
from eth_pipeline.operations.plan.child import Bounds, run_bounded
from eth_pipeline.operations.plan.spec import environment_for_symbol, environment_of, load_plan
from eth_pipeline.operations.plan.state import (
    PlanRunning,
    PlanState,
    StageRecord,
    last_record,
    only_plan,
    save_state,
    stored_states,
    unfinished,
)
from eth_pipeline.operations.plan.summary import state_markdown
from eth_pipeline.settings import load_settings

REPOSITORY = Path(__file__).resolve().parents[1]
PLAN = REPOSITORY / "h800" / "plan.yaml"
NOW = datetime(2025, 6, 29, 12, tzinfo=UTC)
PATIENCE_SECONDS = 60.0


def plan_state(plan_id: str, *, outcome: str = "failed", started_at: datetime = NOW, **asked: str) -> PlanState:
    fields = {"target": "all", "scale": "tiny", "symbol": "ETHUSDT", "timeframe": "1h", **asked}
    stages = {"data": StageRecord(outcome="done", inputs={"code": plan_id}, digest=plan_id)}
    return PlanState.model_validate(
        {"plan_id": plan_id, "outcome": outcome, "started_at": started_at, "stages": stages, **fields}
    )


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition: object, *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():  # type: ignore[operator]  # a callable of any kind
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def test_the_plan_of_the_repository_is_usable_and_its_jobs_exist() -> None:
    from eth_pipeline.defs.jobs import PLAN_JOBS

    spec = load_plan(PLAN)
    assert {stage.job for stage in spec.stages.values()} == set(PLAN_JOBS)
    assert {"full", "tiny"} <= set(spec.scales)
    assert set(spec.pools) == {"training", "gpu"}


@pytest.mark.parametrize("scale", ["full", "tiny"])
def test_every_override_of_a_scale_is_a_setting(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = load_plan(PLAN).scale(scale).settings
    for name, value in environment_of(overrides).items():
        monkeypatch.setenv(name, value)
    settings = load_settings().model_dump()
    for section, fields in overrides.items():
        assert {name: settings[section][name] for name in fields} == fields


def test_a_stage_brings_what_it_needs_along_in_order() -> None:
    spec = load_plan(PLAN)
    assert spec.selected("all") == ("data", "base", "stacking", "onnx", "report")
    assert spec.selected("stacking") == ("data", "base", "stacking")
    assert spec.selected("data") == ("data",)
    with pytest.raises(SettingsInvalid, match="Choose from: all, data, base"):
        spec.selected("training")


def test_a_timeframe_that_nobody_decides_on_is_refused() -> None:
    load_plan(PLAN).require_timeframe("1h")
    with pytest.raises(SettingsInvalid, match="Choose from: 1h"):
        load_plan(PLAN).require_timeframe("4h")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": {"base": {"needs": ["later"]}}}, "which no stage before it is called"),
        ({"stages": {"base": {"memory_gigabytes": 0}}}, "stages.base.memory_gigabytes"),
        ({"pools": {"gpu": 0}}, "pools.gpu"),
        ({"version": 2}, "version"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_by_field(change: dict[str, object], said: str, tmp_path: Path) -> None:
    content = yaml.safe_load(PLAN.read_text())
    for name, value in change.items():
        nested = isinstance(value, dict) and name == "stages"
        content[name] = {**content[name], "base": {**content[name]["base"], **value["base"]}} if nested else value
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(SettingsInvalid, match=said.replace(".", r"\.")):
        load_plan(path)


@pytest.mark.parametrize("text", [None, "stages: [", "just words"])
def test_a_file_that_is_no_plan_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(SettingsInvalid, match=r"plan\.yaml"):
        load_plan(tmp_path / "plan.yaml")


def test_another_symbol_makes_the_rest_its_cross_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = load_settings().symbols
    for name, value in environment_for_symbol("BTCUSDT", symbols=symbols).items():
        monkeypatch.setenv(name, value)
    changed = load_settings()
    assert changed.symbol == "BTCUSDT"
    assert set(changed.symbols) == set(symbols)


def test_what_was_not_done_is_taken_up_again_and_what_was_done_is_not(tmp_path: Path) -> None:
    asked = {"target": "all", "scale": "tiny", "symbol": "ETHUSDT", "timeframe": "1h"}
    assert unfinished(stored_states(tmp_path), **asked) is None
    save_state(tmp_path, plan_state("1", outcome="interrupted"))
    save_state(tmp_path, plan_state("2", outcome="failed", target="base", started_at=NOW + timedelta(hours=1)))
    found = unfinished(stored_states(tmp_path), **asked)
    assert found is not None
    assert found.plan_id == "1"
    save_state(tmp_path, plan_state("3", outcome="done", started_at=NOW + timedelta(hours=2)))
    assert unfinished(stored_states(tmp_path), **asked) is None
    newest = last_record(stored_states(tmp_path), "data")
    assert newest is not None
    assert newest.digest == "3"


def test_a_damaged_record_costs_its_story_only(tmp_path: Path) -> None:
    save_state(tmp_path, plan_state("1"))
    folder = save_state(tmp_path, plan_state("2"))
    (folder / "state.json").write_text('{"plan_id":')
    assert [state.plan_id for state in stored_states(tmp_path)] == ["1"]


def test_one_plan_at_a_time_and_a_child_that_lives_keeps_the_lock(tmp_path: Path) -> None:
    with only_plan(tmp_path) as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
        with pytest.raises(PlanRunning, match="Another plan runs"), only_plan(tmp_path):
            pass
    with pytest.raises(PlanRunning), only_plan(tmp_path):
        pass
    child.communicate(b"\n")
    with only_plan(tmp_path):
        pass


def test_the_summary_says_for_every_stage_how_and_why() -> None:
    text = state_markdown(
        plan_state("1").with_stage("base", StageRecord(outcome="failed", why="a | b")), comparison="C"
    )
    assert "| base | failed |" in text
    assert "a / b" in text
    assert text.endswith("C\n")


def test_a_process_that_ends_by_itself_is_measured(tmp_path: Path) -> None:
    ended = run_bounded(
        [sys.executable, "-c", "import sys; x = bytearray(80_000_000); sys.stdin.close(); print(len(x)); sys.exit(3)"],
        bounds=Bounds(seconds=PATIENCE_SECONDS, memory_bytes=2e9),
        log=tmp_path / "log",
        environment={},
    )
    assert (ended.exit_code, ended.limit) == (3, None)
    assert (tmp_path / "log").read_text() == "80000000\n"


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(seconds=0.5, memory_bytes=2e9), "longer than"),
        (Bounds(seconds=PATIENCE_SECONDS, memory_bytes=60e6), "of memory"),
    ],
)
def test_a_process_beyond_a_bound_is_stopped_with_its_children(bounds: Bounds, said: str, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; x = bytearray(90_000_000)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(child.pid, flush=True); child.wait()"
    )
    seen: list[int] = []

    def look() -> None:
        text = (tmp_path / "log").read_text()
        seen.extend(map(int, text.split()))

    ended = run_bounded(
        [sys.executable, "-c", script], bounds=bounds, log=tmp_path / "log", environment={}, looked=look
    )
    assert ended.limit is not None
    assert said in ended.limit
    assert ended.exit_code != 0
    look()
    until(lambda: all(gone(pid) for pid in seen), what="the grandchild's end")


def test_what_a_killed_plan_started_does_not_outlive_it(tmp_path: Path) -> None:
    """Otherwise the next plan would train beside the orphan, into the same tables."""
    child = (
        "import os, time; from eth_pipeline.operations.plan.child import die_with_starter; die_with_starter()\n"
        "print(os.getpid(), flush=True); time.sleep(1000)"
    )
    starter = (
        "import sys; from pathlib import Path; from eth_pipeline.operations.plan.child import Bounds, run_bounded\n"
        f"run_bounded([sys.executable, '-c', {child!r}], bounds=Bounds(1000, 9e9), log=Path({str(tmp_path / 'log')!r}),"
        " environment={})"
    )
    process = subprocess.Popen([sys.executable, "-c", starter], cwd=REPOSITORY)
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"), what="the start")
    pid = int((tmp_path / "log").read_text())
    assert not gone(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: gone(pid), what="the orphan's end")


def test_a_host_that_is_too_small_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(No, match="choose a smaller scale"):
        preflight.memory_suffices(1e6)
    with pytest.raises(No, match="name another home"):
        preflight.disk_suffices(tmp_path / "not" / "yet", 1e6)
    with pytest.raises(No, match="--shm-size"):
        preflight.shared_memory_suffices(1e9, mount=tmp_path)
    with pytest.raises(No, match="Mount a tmpfs"):
        preflight.shared_memory_suffices(1, mount=tmp_path / "absent")
    assert "needed" in preflight.memory_suffices(0.001)
    assert "needed" in preflight.disk_suffices(tmp_path / "not" / "yet", 0.001)


def test_a_clock_is_believed_within_bounds_and_never_without_comparison() -> None:
    near, far = timedelta(seconds=2), timedelta(days=-400)
    assert "+2.000 s" in preflight.clock_agrees(near, 20, embedded=False)
    assert preflight.clock_agrees(far, 20, embedded=True)
    with pytest.raises(No, match="NTP"):
        preflight.clock_agrees(far, 20, embedded=False)
    with pytest.raises(No, match="compared with nothing"):
        preflight.clock_agrees(None, 20, embedded=True)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "no nvidia-smi on PATH"),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "ended with 18: Failed to init"),
        ("echo 'NVIDIA H800, 550.54, 81559 MiB'", None),
    ],
)
def test_the_driver_is_asked_by_its_own_program(
    script: str | None, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    if said is None:
        assert preflight.driver_answers() == "NVIDIA H800, 550.54, 81559 MiB"
    else:
        with pytest.raises(No, match=said):
            preflight.driver_answers()


def test_a_wanted_gpu_that_is_absent_warns_and_a_required_one_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    requires = load_plan(PLAN).scale("tiny").requires
    settings = load_settings(home=tmp_path)
    by_wish = {
        gpu: {c.name: c for c in preflight.host_checks(settings, requires=requires, gpu=gpu)}
        for gpu in ("none", "wanted", "required")
    }
    assert "driver" not in by_wish["none"]
    assert (by_wish["wanted"]["driver"].passed, by_wish["wanted"]["driver"].required) == (False, False)
    assert by_wish["required"]["driver"].required
