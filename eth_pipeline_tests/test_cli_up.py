"""`eth-pipeline up` on a home of production, and on a port that is taken; a demo home's is `test_ui`'s."""

import signal
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.cli.console import out
from eth_pipeline.cli.processes import ProcessGroup, accepts, free_port, require_free
from eth_pipeline.cli.up import _stay
from eth_pipeline.errors import NeedsHuman
from eth_pipeline_tests.running_up import assert_gone, running_up

pytestmark = pytest.mark.slow


def test_an_interrupt_that_follows_its_invitation_at_once_stops_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script presses Ctrl-C as soon as it reads the line, before anything after the line has run."""
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("Ctrl-C"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(out, "print", say)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ProcessGroup(logs=tmp_path, environment={}) as group:
            _stay(group)
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == ["Ctrl-C stops everything.", "Stopping."]


def test_a_home_that_is_no_demo_starts_without_exchange_and_without_a_mlflow_of_its_own(tmp_path: Path) -> None:
    """Production settings: Binance is asked by runs only, and the team's MLflow server is not ours to serve."""
    registry = {"ETH_PIPELINE_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    with running_up(tmp_path / "home", environment=registry) as up:
        assert up.sandbox_url is None
        assert not accepts(up.mlflow_port)
        assert not (tmp_path / "home" / "exchange_state.sqlite").exists(), "starting alone must not open the exchange"
        family = up.family()
        assert up.stop(signal.SIGINT) == 0
        assert_gone(family, up.port)


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))  # `up` sets it, and here nothing else would undo that
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        home = ["--home", str(tmp_path / "home"), "--port", str(free_port())]
        ended = CliRunner().invoke(app, ["up", *home, "--mlflow-port", str(port)])
        with pytest.raises(NeedsHuman, match=f"Port {port} .* the Dagster UI: Address already in use.* with --port"):
            require_free(port, purpose="the Dagster UI", option="--port")
    assert ended.exit_code == 1
    said = " ".join(ended.stderr.split())
    assert f"Port {port} of 127.0.0.1 cannot be used for MLflow" in said
    assert "name another port with --mlflow-port" in said
    assert not (tmp_path / "home" / "logs").exists()


def test_a_closed_port_accepts_nothing_and_a_listening_one_does() -> None:
    assert not accepts(free_port())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert accepts(int(listening.getsockname()[1]))
