"""Since when each process runs and on what: notes of real processes, against what lies here now.

The incident: nobody could say which code, model or configuration the reviewed system was running.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.cli.processes import ProcessGroup
from eth_pipeline.cli.start import noted
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import code_version
from eth_pipeline.operations.processes import FOLDER, ProcessState, ProcessStatus, note_start, process_statuses
from eth_pipeline.registry.promotions.production import CURRENT, Pointer
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, sample_settings, walk
from eth_pipeline_tests.registry_maker import candidate, decision

WAITS = "import os, sys; print('I am the program', os.getpid(), flush=True); sys.stdin.read()"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home that the environment names."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    return load_settings()


def note(settings: Settings, name: str = "daemon", *, pid: int | None = None, **changes: Any) -> dict[str, Any]:
    """Note a process, this one by default, and change what the note says; the line for its log."""
    line: dict[str, Any] = json.loads(note_start(settings, name=name, pid=pid or os.getpid(), now=SystemClock().now()))
    path = settings.home / FOLDER / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return line


def only(settings: Settings) -> ProcessStatus:
    (found,) = process_statuses(settings)
    return found


@contextmanager
def started(settings: Settings, name: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`eth-pipeline start NAME -- python`, and the first line that it printed."""
    command = [sys.executable, "-m", "eth_pipeline", "start", name, "--", sys.executable, "-c", WAITS]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = json.loads(process.stdout.readline())
        assert process.stdout.readline() == f"I am the program {process.pid}\n", "the pid that a supervisor knows"
        yield process, line
    finally:
        process.kill()
        process.communicate()


def test_a_start_is_noted_logged_with_its_manifest_and_known_until_the_process_ends(settings: Settings) -> None:
    before = SystemClock().now()
    with started(settings, "daemon") as (process, line):
        assert (line["level"], line["process"]) == ("START", "daemon")
        assert line["runtime_manifest"]["config_digest"] == settings.digest()
        assert line["runtime_manifest"]["code"]["commit"] == code_version().commit
        found = only(settings)
        assert (found.name, found.state, found.pid) == ("daemon", ProcessState.RUNNING, process.pid)
        assert found.started_at is not None
        assert abs(found.started_at - before) < timedelta(minutes=2)
        assert (found.same_code, found.same_configuration, found.same_bundle) == (True, True, True)
        assert found.statement == "runs what lies here"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is over; nobody has collected it yet
        ended = only(settings)
    assert (ended.state, ended.pid, ended.same_code) == (ProcessState.ENDED, found.pid, None)


def test_a_pid_that_was_given_out_again_is_nobodys(settings: Settings) -> None:
    note(settings, created_at=iso(SystemClock().now() - timedelta(days=3)))
    assert only(settings).state is ProcessState.ENDED


def test_a_process_that_was_started_before_the_code_was_changed_says_so(settings: Settings) -> None:
    note(settings, files_digest="0" * 64)
    found = only(settings)
    assert (found.state, found.same_code) == (ProcessState.RUNNING, False)
    assert found.statement == "its code was changed since it started: restart it"
    note(settings, files_digest="0" * 64, commit="0123456789abcdef")
    assert only(settings).statement == f"runs commit 0123456789ab, here lies {code_version().commit[:12]}: restart it"


def test_a_process_that_was_started_with_other_settings_says_so(settings: Settings) -> None:
    note(settings.model_copy(update={"symbol": "ETHUSDC"}))
    found = only(settings)
    assert (found.same_code, found.same_configuration) == (True, False)
    assert f"this one is {settings.digest()[:12]}" in found.statement


def test_a_process_that_is_older_than_the_bundle_says_since_when_the_bundle_is_in_use(
    settings: Settings, tmp_path: Path
) -> None:
    line = note(settings)
    assert line["runtime_manifest"]["bundle_fingerprint"] is None
    figures = candidate(tmp_path / "bundle")
    made = decision(tmp_path / "bundle", figures)
    point_to(settings, made.candidate_fingerprint, at=NOON)
    bare = only(settings)
    assert (bare.same_code, bare.same_configuration, bare.same_bundle) == (True, True, False)
    PromotionLog.of(settings.home).append(decision=made, version="7", run_id="run-0", at=NOON)
    name = made.candidate_fingerprint[:12]
    assert f"older than the bundle in use ({name}, promoted {iso(NOON)})" in only(settings).statement
    line = note(settings)
    assert line["runtime_manifest"]["bundle_fingerprint"] == made.candidate_fingerprint
    assert only(settings).same_bundle is True


def point_to(settings: Settings, fingerprint: str, *, at: datetime) -> None:
    """Let the home use a bundle."""
    (settings.home / "production").mkdir(parents=True)
    used = Pointer(version="7", fingerprint=fingerprint, folder=fingerprint, verified_at=at)
    (settings.home / "production" / CURRENT).write_text(used.model_dump_json())


def test_a_note_of_another_host_of_another_version_or_of_nothing_breaks_nothing(settings: Settings) -> None:
    note(settings, "board", host="elsewhere.example")
    note(settings, "daemon", added_by_a_later_version=True)
    note(settings, "mlflow")
    folder = settings.home / FOLDER
    kept = json.loads((folder / "mlflow.json").read_text())
    old = {name: kept[name] for name in ("name", "pid", "created_at", "host")}
    (folder / "mlflow.json").write_text(json.dumps(old))
    (folder / "webserver.json").write_text("{ half")
    found = {status.name: status for status in process_statuses(settings)}
    assert {name: str(status.state) for name, status in found.items()} == {
        "board": "elsewhere",
        "daemon": "running",
        "mlflow": "running",
        "webserver": "unreadable",
    }
    assert "elsewhere.example" in found["board"].statement
    assert (found["daemon"].same_code, found["mlflow"].same_code) == (True, False)


def test_a_lake_that_cannot_be_read_hinders_no_start(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    Lake.of(settings).upsert(KLINES, bars(walk(2), first=NOON - 2 * HOUR))
    made = note(settings)["runtime_manifest"]
    assert (made["provenance"], made["table_versions"]) == ("simulated", {"klines": 0})
    shutil.rmtree(tmp_path / "lake" / "klines" / "_delta_log")
    (tmp_path / "lake" / "klines" / "_delta_log").mkdir()
    (tmp_path / "lake" / "klines" / "_delta_log" / f"{0:020}.json").write_text("{ no json")
    assert note(settings)["runtime_manifest"]["provenance"].startswith("unreadable: ")


def test_the_log_of_a_child_begins_with_its_manifest(settings: Settings, tmp_path: Path) -> None:
    """So that `up` leaves the same behind as a service unit."""
    with ProcessGroup(logs=tmp_path / "logs", environment={}, note=noted) as group:
        group.start("sandbox", [sys.executable, "-c", "import time; time.sleep(60)"])
        assert (only(settings).name, only(settings).state) == ("sandbox", ProcessState.RUNNING)
    assert only(settings).state is ProcessState.ENDED
    line = json.loads((tmp_path / "logs" / "sandbox.log").read_text().splitlines()[0])
    assert (line["level"], line["runtime_manifest"]["config_digest"]) == ("START", settings.digest())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("start", "daemon", "--", "/no/such/program"), 1, "/no/such/program cannot be started"),
        (("start", "../daemon", "--", "true"), 2, "small letters"),
        (("start", "daemon"), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_started_is_refused(
    settings: Settings, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert (done.exit_code, words in " ".join(done.stderr.split())) == (code, True), done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_the_command_shows_processes_as_json_and_as_a_table(settings: Settings) -> None:
    assert json.loads(CliRunner().invoke(app, ["manifest", "--json"]).stdout)["processes"] == []
    note(settings, files_digest="0" * 64)
    (found,) = json.loads(CliRunner().invoke(app, ["manifest", "--json"]).stdout)["processes"]
    assert (found["name"], found["state"], found["pid"]) == ("daemon", "running", os.getpid())
    assert found["same_code"] is False
    assert datetime.fromisoformat(found["started_at"]) < SystemClock().now()
    table = "".join(CliRunner().invoke(app, ["manifest"]).stdout.replace("│", " ").split())
    assert "Processes" in table
    assert "daemonrunning" in table
