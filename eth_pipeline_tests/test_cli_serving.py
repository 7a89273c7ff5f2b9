"""`serve-model`: the command starts the real service, says what it serves, and refuses what it must."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from eth_pipeline.cli.serving import HostClock
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.contracts.inference import HEALTH
from eth_pipeline.exchange.http.exchange_time import remember_offset
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline_tests.decision_samples import NOON
from eth_pipeline_tests.inference_host import InferenceHost

SCRIPT = "import typer; from eth_pipeline.cli.serving import serve_model; typer.run(serve_model)"
EXCHANGE = "fapi.binance.com"


@pytest.fixture
def host(tmp_path: Path) -> InferenceHost:
    """A host of the past with a bundle; its runs have measured how far its exchange is from the clock."""
    host = InferenceHost(tmp_path)
    host.produce("7")
    state = HostState(host.settings.home / "exchange_state.sqlite")
    remember_offset(state, EXCHANGE, exchange_time=NOON, asked=SystemClock().now(), round_trip=timedelta(0))
    state.close()
    return host


def command(host: InferenceHost, *options: str, **environment: str) -> subprocess.Popen[str]:
    known = {
        "ETH_PIPELINE_HOME": str(host.settings.home),
        "ETH_PIPELINE_BASE_INTERVAL": "1h",
        "ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]',
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *options],
        env={**os.environ, **known, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_serves_the_bundle_at_exchange_time_until_it_is_stopped(host: InferenceHost) -> None:
    """By this machine's own clock the bundle of a replayed market expired long ago."""
    with command(host, "--port", "0", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving version 7 ("), process.communicate()[1]
        assert "expires 2025-03-13T12:00:00Z) on CPUExecutionProvider at http://127.0.0.1:" in line
        said = httpx2.get(line.split(" at ")[-1].strip() + HEALTH).json()
        assert said["healthy"] is True
        assert 239.0 < said["expires_in_hours"] <= 240.0
        process.terminate()
        assert process.wait(timeout=20) is not None


def test_another_address_without_a_token_is_refused_with_the_way_out(host: InferenceHost) -> None:
    with command(host, "--port", "0", "--host", "0.0.0.0") as process:
        _, said = process.communicate()
    assert process.returncode == 1
    assert "SettingsInvalid" in said
    assert "inference.token_file" in said


def test_without_a_measurement_the_clock_of_this_host_counts(tmp_path: Path) -> None:
    state = HostState(tmp_path / "state.sqlite")
    clock = HostClock(state, exchange=EXCHANGE)
    before = SystemClock().now()
    assert before <= clock.now() <= SystemClock().now()
    remember_offset(state, EXCHANGE, exchange_time=NOON, asked=before, round_trip=timedelta(0))
    assert NOON <= clock.now() < NOON + timedelta(hours=1)
    state.close()
