"""The most memory that each stage of the training plan needs at full size, beside the bound of h800/plan.yaml.

    python benchmarks/plan_memory.py [hours=43000] [minutes=15] [side_by_side=2] [stages=all] [home=FOLDER]

A random market of four symbols with every source present goes into a lake; then the plan runs over it as on the node,
stage by stage, each in its own processes, and its own watch says how much they held together (resident, shared pages
counted in each process). What memory depends on is as in scale `full`: rows, columns, horizons, model sizes,
`side_by_side` steps at a time. What it does not depend on is left out, or this would take a day: a walk-forward
learns once from its first window and scores everything after it, the final models learn once from all rows, networks
see them one time. `minutes` is the size of the bars that features are made of. With `home` that folder is used and
kept, and a second call goes on where the first one stopped.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline_tests.random_market import BEGIN, random_market

REPOSITORY = Path(__file__).resolve().parents[1]
PLAN = REPOSITORY / "h800" / "plan.yaml"
SCALE = "memory"
GIGABYTE, MEBIBYTE = 1e9, 2**20


def fill(home: Path, *, hours: int, interval: str) -> None:
    """Every stream of the market into the lake of `home`, once."""
    lake = Lake(str(home / "lake"))
    if lake.version(STREAMS["klines"]) is not None:
        return
    market = random_market(hours=hours, base_interval=interval)
    for stream in reversed([each.name for each in fields(market)]):  # bars come last: then the others are there
        lake.replace(STREAMS[stream], getattr(market, stream))


def plan_file(folder: Path, *, side_by_side: int, hours: int) -> Path:
    """The node's plan with a scale of full rows and columns, and as few trainings as there can be."""
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    requires = plan["scales"]["tiny"]["requires"] | {"memory_gigabytes": 0.1}
    plan["pools"] = {"training": side_by_side, "gpu": side_by_side}
    plan["scales"][SCALE] = {
        "description": "Full rows and columns, one walk-forward window, one epoch.",
        "settings": {"training": {"refit_every_hours": hours}, "networks": {"max_epochs": 1, "device": "cpu"}},
        "steps_at_once": side_by_side,
        "requires": requires,
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return path


def run_plan(home: Path, plan: Path, *, target: str, interval: str, url: str) -> dict[str, Any]:
    """The plan as a person starts it; its summary."""
    environment = {
        **os.environ,
        "ETH_PIPELINE_HOME": str(home),
        "ETH_PIPELINE_BASE_INTERVAL": interval,
        "ETH_PIPELINE_HISTORY_START": iso(BEGIN),
        **{f"ETH_PIPELINE_EXCHANGE__{door}_URL": url for door in ("FUTURES", "SPOT", "ARCHIVE")},
    }
    command = [sys.executable, "-m", "eth_pipeline", "plan", "run", target, "--plan", str(plan), "--scale", SCALE]
    done = subprocess.run([*command, "--json"], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the plan ended with {done.returncode}; its logs lie below {home}/plans (give home=FOLDER)")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def main(arguments: list[str]) -> None:
    """Read `name=value` arguments, run, print the table."""
    given = dict(argument.split("=", 1) for argument in arguments)
    hours, interval = int(given.get("hours", 43_000)), {"15": "15m", "60": "1h"}[given.get("minutes", "15")]
    now = BEGIN + timedelta(hours=hours, seconds=20)
    clock_only = SyntheticMarket(seed=7, start=now.replace(second=0) - timedelta(days=1), end=now)
    folder = nullcontext(given["home"]) if "home" in given else tempfile.TemporaryDirectory()
    with folder as name, Sandbox(clock_only, now=now, port=0) as exchange:
        home = Path(name).resolve()
        home.mkdir(parents=True, exist_ok=True)
        fill(home, hours=hours, interval=interval)
        plan = plan_file(home, side_by_side=int(given.get("side_by_side", 2)), hours=hours)
        summary = run_plan(home, plan, target=given.get("stages", "all"), interval=interval, url=exchange.url)
    bounds = yaml.safe_load(PLAN.read_text(encoding="utf-8"))["stages"]
    print(f"{hours} hours of {interval} bars, four symbols, {given.get('side_by_side', 2)} steps side by side")
    print("| stage | seconds | peak, MiB | bound of plan.yaml, MiB | peak / bound |\n|---|---|---|---|---|")
    for stage, record in summary["stages"].items():
        peak = record["peak_memory_megabytes"] * 1e6 / MEBIBYTE
        bound = bounds[stage]["memory_gigabytes"] * GIGABYTE / MEBIBYTE
        print(f"| {stage} | {record['seconds']:.0f} | {peak:,.0f} | {bound:,.0f} | {peak / bound:.0%} |")


if __name__ == "__main__":
    main(sys.argv[1:])
