"""Lives some hours in a demo home, so that its board has something to show.

    PYTHONPATH=. python docs/images/live.py HOME HOURS

Belongs here: the embedded exchange's clock moved an hour, the hourly assets materialized, and that again. Does not
belong: pictures (`take`).
"""

import os
import sys
from pathlib import Path

import dagster as dg
import httpx2

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import ProcessGroup, answers, free_port
from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.signal import SIGNALS
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.lake import Lake
from eth_pipeline.settings import load_settings


def live(home: Path, *, hours: int) -> None:
    """Add `hours` hours to the signals and the account of `home`."""
    market = MarketPlan.load(home)
    if market is None:
        raise SystemExit(f"{home} is no demo home. Make one: eth-pipeline demo --home {home}")
    url = f"http://127.0.0.1:{(port := free_port())}"
    os.environ.update(market.environment(home=home, url=url))
    serve = [sys.executable, "-m", "eth_pipeline", "sandbox", "serve", "--port", str(port), "--clock-speed", "0"]
    with ProcessGroup(logs=home / "logs", environment={}) as group:
        group.start("sandbox", [*serve, *market.serve_arguments()])
        group.wait_until("sandbox", lambda: answers(f"{url}/sandbox/health"), timeout_seconds=120)
        settings = load_settings()
        newest = Lake.of(settings).newest(SIGNALS) or market.as_of
        with open_instance(settings) as instance:
            for hour in range(1, hours + 1):
                now = newest + hour * HOUR
                httpx2.post(f"{url}/sandbox/clock", json={"now": iso(now)}, timeout=10.0).raise_for_status()
                sys.stdout.write(f"{iso(now)} {'lived' if _hour(instance) else 'blocked or failed'}\n")


def _hour(instance: dg.DagsterInstance) -> bool:
    from eth_pipeline.definitions import defs

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = defs.resolve_job_def("hourly")
    return job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False).success


if __name__ == "__main__":
    live(Path(sys.argv[1]).resolve(), hours=int(sys.argv[2]))
