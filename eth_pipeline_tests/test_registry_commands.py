"""The commands of the registry, run as a person or a script runs them: output and exit codes."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from eth_pipeline.cli import keys, registry
from eth_pipeline.registry.mlflow_store import PRODUCTION
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import load_settings
from eth_pipeline.signals.forecasting.bundle_in_use import running_schema
from eth_pipeline_tests.registry_host import Host
from eth_pipeline_tests.registry_maker import NOW, registry_folder

app = typer.Typer()
app.add_typer(keys.app, name="keys")
app.add_typer(registry.promotions_app, name="promotions")
app.add_typer(registry.bundle_app, name="bundle")
app.command("rollback")(registry.rollback)
app.command("alias")(registry.alias)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that the settings name."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ETH_PIPELINE_BASE_INTERVAL", "1h")
    return tmp_path / "home"


def test_keys_are_made_shown_and_rotated(home: Path) -> None:
    assert "only verifies" not in run("keys", "init").output
    shown = json.loads(run("keys", "show", "--json").stdout)
    assert [key["signs"] for key in shown["pinned"]] == [True]
    assert (home / "keys" / "bundle.key").stat().st_mode & 0o777 == 0o600
    rotated = run("keys", "rotate")
    assert rotated.exit_code == 0
    assert str(home / "keys" / "bundle.pub") in rotated.output, "the old key is pinned as well"
    assert "ETH_PIPELINE_SIGNING_PRIVATE_KEY=" in rotated.output
    again = run("keys", "init")
    assert (again.exit_code, "is not overwritten" in again.stderr) == (1, True)


def test_a_signing_key_that_nobody_trusts_exits_1(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keys", "init")
    run("keys", "rotate")
    (new,) = (home / "keys").glob("bundle-*.key")
    monkeypatch.setenv("ETH_PIPELINE_SIGNING_PRIVATE_KEY", str(new))
    shown = run("keys", "show")
    assert shown.exit_code == 1
    assert "no pinned public key answers for" in shown.output
    pinned = [str(home / "keys" / "bundle.pub"), str(new.with_suffix(".pub"))]
    monkeypatch.setenv("ETH_PIPELINE_SIGNING_PUBLIC_KEYS", json.dumps(pinned))
    assert run("keys", "show").exit_code == 0


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    """An exchange whose clock stands at the hour of the bundles."""
    market = SyntheticMarket(seed=1, start=NOW.replace(day=28), end=NOW.replace(day=30), signal_strength=0.0)
    with Sandbox(market, now=NOW, port=0) as sandbox:
        yield sandbox


@pytest.fixture
def host(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, exchange: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Host:
    """A home with two promotions, whose registry is where its settings expect it."""
    folder = registry_folder(tmp_path_factory)
    made = Host(folder, tmp_path, schema=running_schema(load_settings(base_interval="1h")))
    for name, value in {
        "HOME": str(made.home),
        "BASE_INTERVAL": "1h",
        "MLFLOW_TRACKING_URI": made.store.tracking_uri,
        "EXCHANGE__FUTURES_URL": exchange.url,
        "EXCHANGE__SPOT_URL": exchange.url,
        "EXCHANGE__ARCHIVE_URL": exchange.url,
    }.items():
        monkeypatch.setenv(f"ETH_PIPELINE_{name}", value)
    made.promote("first", skill=0.3)
    made.promote("second", skill=0.6, hours_later=1)
    return made


def test_the_log_is_listed_shown_and_verified(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = json.loads(run("promotions", "list", "--json").stdout)
    assert [entry["action"] for entry in entries] == ["promoting", "promoted"] * 2
    shown = json.loads(run("promotions", "show", "4", "--json").stdout)
    assert shown["decision"]["decision_id"] == shown["decision_id"] == entries[3]["decision_id"]
    assert "deflated" in run("promotions", "show", entries[1]["decision_id"]).output
    assert "4 entries" in run("promotions", "verify").output
    host.log.path.write_text("".join(host.log.path.read_text().splitlines(keepends=True)[:3]))
    for command in (("verify",), ("verify", "--offline")):
        cut = run("promotions", *command)
        assert (cut.exit_code, "cut at its end" in cut.stderr) == (1, True)
    monkeypatch.setenv("ETH_PIPELINE_LANGUAGE", "zh")
    assert {"晋升记录", "晋升中", "晋升"} <= set(re.findall("[一-鿿]+", run("promotions", "list").output))
    unknown = run("promotions", "show", "99")
    assert (unknown.exit_code, "has no entry '99'" in unknown.stderr) == (1, True)


def test_the_alias_check_has_an_exit_code_for_each_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("alias", "--check-only").exit_code == 0
    host.store.name(PRODUCTION, "1")
    moved = run("alias", "--check-only", "--json")
    assert moved.exit_code == 1
    assert "moved by another hand" in json.loads(moved.stdout)["disagreements"][0]
    monkeypatch.setenv("ETH_PIPELINE_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    unknown = run("alias", "--check-only")
    assert unknown.exit_code == registry.NOT_CHECKED == 3


def test_a_bundle_is_exported_and_imported_as_a_file(host: Host, tmp_path: Path) -> None:
    archive, folder = tmp_path / "first.zip", tmp_path / "imported"
    assert run("bundle", "export", str(tmp_path / "first"), str(archive)).exit_code == 0
    assert run("bundle", "import", str(archive), str(folder)).exit_code == 0
    os.truncate(archive, archive.stat().st_size // 2)
    verified = run("bundle", "verify", str(folder))
    assert (verified.exit_code, "may be loaded until" in verified.output) == (0, True), verified.stderr
    refused = run("bundle", "import", str(archive), str(tmp_path / "again"))
    assert (refused.exit_code, "ArchiveRefused" in refused.stderr) == (1, True)


def test_a_rollback_is_one_command_and_says_when_the_registry_was_not_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = run("rollback", "--reason", "drawdown")
    assert (back.exit_code, "Production is version 1" in back.output) == (0, True), back.stderr
    assert host.log.verify()[-1].reason == "drawdown"
    monkeypatch.setenv("ETH_PIPELINE_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    again = run("rollback", "--to", "2")
    assert (again.exit_code, "Production is version 2" in again.output) == (0, True), again.stderr
    assert "The registry does not know of it yet" in again.output
    assert host.in_use() == "2"
