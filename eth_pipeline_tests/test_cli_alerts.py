"""`eth-pipeline alerts` and `eth-pipeline prepare`, as an operator runs them."""

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from eth_pipeline.cli.alerts import app
from eth_pipeline.cli.prepare import prepare
from eth_pipeline_tests.alert_receiver import alert_receiver


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home whose disk is too small for it, watched without any hold-off."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__HOLD_OFF_MINUTES", "0")
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__MIN_FREE_GIGABYTES", "1e9")
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def with_target(monkeypatch: pytest.MonkeyPatch, folder: Path, url: str, *, mode: int = 0o600) -> None:
    (folder / "targets").write_text(url)
    (folder / "targets").chmod(mode)
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__TARGETS_FILE", str(folder / "targets"))


def test_nothing_wrong_exits_0(home: Path) -> None:
    answer = run("list")
    assert (answer.exit_code, "nothing is wrong" in answer.output) == (0, True)
    assert json.loads(run("list", "--json").output) == {"raised": [], "undelivered": 0}


def test_what_is_wrong_is_found_told_listed_and_remembered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with alert_receiver() as receiver:
        with_target(monkeypatch, tmp_path, receiver.url)
        assert run("check").exit_code == 1
        assert run("check").exit_code == 1
        assert [title.partition(": ")[2] for title in receiver.titles] == [f"disk_low: {home}"]
    listed = run("list", "--json")
    assert listed.exit_code == 1
    assert [row["kind"] for row in json.loads(listed.output)["raised"]] == ["disk_low"]
    (message,) = json.loads(run("history", "--json").output)
    assert (message["title"], message["delivered"]) == (f"disk_low: {home}", True)
    assert "disk_low" in run("history").output


def test_a_test_message_reaches_every_target_and_stays_out_of_the_book(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with alert_receiver() as one, alert_receiver() as two:
        with_target(monkeypatch, tmp_path, f"{one.url}\n{two.url}\n")
        assert run("test").exit_code == 0
        two.down = True
        answer = run("test")
        assert answer.exit_code == 1
        assert "target 2: NOT taken" in answer.output
        assert (len(one.received), len(two.received)) == (2, 1)
    assert not (home / "alerts.sqlite").exists()


def test_a_test_without_targets_says_how_to_get_one(home: Path) -> None:
    answer = run("test")
    assert answer.exit_code == 1
    assert "ETH_PIPELINE_ALERTS__TARGETS_FILE" in answer.output + answer.stderr


def test_a_targets_file_that_others_can_read_does_not_stop_the_look_and_fails_the_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETH_PIPELINE_ALERTS__MIN_FREE_GIGABYTES", "0.001")
    with_target(monkeypatch, tmp_path, "json://127.0.0.1:9/s3cret", mode=0o644)
    answer = run("check")
    assert answer.exit_code == 1
    assert "chmod 600" in answer.output + answer.stderr
    assert "s3cret" not in answer.output + answer.stderr
    assert [row["kind"] for row in json.loads(run("list", "--json").output)["raised"]] == ["rule_broken"]


def test_looking_makes_no_home(home: Path) -> None:
    home.rmdir()
    assert run("list").exit_code == 1
    assert not home.exists()


def test_prepare_makes_a_home_that_dagster_finds_and_can_be_repeated(home: Path) -> None:
    command = typer.Typer()
    command.command()(prepare)
    for _ in range(2):
        answer = CliRunner().invoke(command, [])
        assert answer.exit_code == 0, answer.output
    assert (home / "dagster" / "dagster.yaml").is_file()
    assert (home / "mlflow").is_dir()
