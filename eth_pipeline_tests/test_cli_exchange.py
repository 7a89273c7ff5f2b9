"""`sandbox fault` and `ingest` as an operator types them, against a real embedded exchange."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

NOW = datetime(2025, 6, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Ten days of four symbols, the clock standing still."""
    with Sandbox(SyntheticMarket(seed=3, start=NOW - timedelta(days=10), end=NOW), now=NOW) as running:
        yield running


def test_a_fault_is_switched_on_listed_and_switched_off(sandbox: Sandbox) -> None:
    run = CliRunner().invoke
    on = run(app, ["sandbox", "fault", "on", "stale", "streams=klines", "symbols=ETHUSDT", "--url", sandbox.url])
    assert on.exit_code == 0, on.output
    assert [fault.kind for fault in sandbox.faults.on()] == ["stale"]
    assert "klines" in run(app, ["sandbox", "fault", "list", "--url", sandbox.url]).output
    assert run(app, ["sandbox", "fault", "off", "--url", sandbox.url]).exit_code == 0
    assert not sandbox.faults.on()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("on", "gremlins"), "Choose one of"),
        (("on", "stale", "klines"), "is no name=value"),
        (("list", "--url", "http://127.0.0.1:9"), "sandbox serve"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_to_do(sandbox: Sandbox, arguments: tuple[str, ...], words: str) -> None:
    command = ["sandbox", "fault", *arguments]
    done = CliRunner().invoke(app, command if "--url" in arguments else [*command, "--url", sandbox.url])
    assert done.exit_code == 1
    assert words in " ".join(done.output.split())


def test_ingest_by_hand_fills_the_lake_and_exits_1_when_the_exchange_is_down(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ETH_PIPELINE_HISTORY_START": "2025-06-20T00:00:00Z",
        "ETH_PIPELINE_EXCHANGE__ATTEMPTS": "1",
        **{f"ETH_PIPELINE_EXCHANGE__{name.upper()}": url for name, url in sandbox.exchange_urls().items()},
    }

    def ingest(home: str) -> tuple[int, list[dict[str, object]]]:
        command = [sys.executable, "-m", "eth_pipeline", "ingest", "--stream", "mark_klines", "--json"]
        homed = {**environment, "ETH_PIPELINE_HOME": str(tmp_path / home)}
        done = subprocess.run(command, env=homed, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout)

    code, rows = ingest("up")
    assert code == 0
    assert {row["symbol"]: row["outcome"] for row in rows} == dict.fromkeys(
        ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT"), "fetched"
    )
    sandbox.faults.switch_on("server_error")
    try:
        code, rows = ingest("down")
    finally:
        sandbox.faults.clear()
    assert code == 1
    assert rows[0]["outcome"] == "unavailable"
