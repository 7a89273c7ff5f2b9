"""The board as a process: what it needs to start, what it prints, what it loads."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from eth_pipeline.contracts.clock import iso
from eth_pipeline_tests.board_home import CLOCK, BoardHome, token_file
from eth_pipeline_tests.decision_samples import NOON

COMMAND = "import typer; from eth_pipeline.cli.board import board; typer.run(board)"
HEAVY = {"torch", "mlflow", "lightgbm", "sklearn", "matplotlib", "onnxruntime", "pandas", "model_signing", "dagster"}


def start(home: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "ETH_PIPELINE_HOME": str(home), "PYTHONUNBUFFERED": "1", **settings}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_prints_its_address_answers_and_ends_on_a_signal(tmp_path: Path) -> None:
    process = start(tmp_path / "home")
    try:
        assert process.stdout is not None
        name, url = process.stdout.readline().split()
        assert (name, url.startswith("http://127.0.0.1:")) == ("Board", True)
        assert "No current signal: absent" in httpx2.get(url + "/", timeout=60.0).text
        assert httpx2.get(url + "/healthz").status_code == 503
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "home").exists()


def test_it_refuses_to_be_seen_without_a_token_and_says_how(tmp_path: Path) -> None:
    out, err = start(tmp_path / "home", "--host", "0.0.0.0").communicate(timeout=60)
    assert out == ""
    assert "board.token_file" in err
    assert "Traceback" not in err
    path = token_file(tmp_path)
    process = start(tmp_path / "home", "--host", "0.0.0.0", ETH_PIPELINE_BOARD__TOKEN_FILE=str(path))
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1].replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(url + "/api/v1/manifest", timeout=60.0).status_code == 401
    finally:
        process.kill()
        process.communicate()


def test_the_board_loads_nothing_heavy(tmp_path: Path) -> None:
    """It stands beside the hourly job on small hosts, and a page needs no training library."""
    home = BoardHome(tmp_path)
    script = f"""
import sys
import httpx2
from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.clock import FixedClock, parse_instant
from eth_pipeline.settings import load_settings
with BoardServer(load_settings(), clock=FixedClock(parse_instant("{iso(CLOCK)}"))) as server:
    for path in ("/", "/signals", "/signals/{iso(NOON)}", "/metrics", "/api/v1/model", "/api/v1/manifest"):
        answer = httpx2.get(server.url + path, timeout=60.0)
        assert answer.status_code == 200 and "cannot be read" not in answer.text, answer.text
print(" ".join({{name.split(".")[0] for name in sys.modules}}))
"""
    environment = {
        **os.environ,
        "ETH_PIPELINE_HOME": str(home.settings.home),
        "ETH_PIPELINE_BASE_INTERVAL": "1h",
        "ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]',
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & HEAVY
