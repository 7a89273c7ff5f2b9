"""The embedded exchange in the foreground, as the command line runs it."""

import signal
import subprocess
import sys

import httpx2

PROGRAM = """
from datetime import UTC, datetime
from eth_pipeline.sandbox.serve import serve
from eth_pipeline.sandbox.synthetic import SyntheticMarket

now = datetime(2025, 6, 15, tzinfo=UTC)
market = SyntheticMarket(seed=1, start=datetime(2025, 6, 1, tzinfo=UTC))
serve(market, now=now, port=0, clock_speed=1.0, announce=lambda sandbox: print(sandbox.url, flush=True))
"""


def test_it_announces_its_address_serves_and_ends_on_an_interrupt() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert httpx2.get(url + "/sandbox/health").json()["speed"] == 1.0
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) is not None
