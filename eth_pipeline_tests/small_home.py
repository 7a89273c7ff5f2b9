"""A small real home for tests of the Dagster layer: an embedded exchange, a lake filled through it, an instance.

Belongs here: building it and running things in it. Does not belong: assertions.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from click import BaseCommand
from click.testing import CliRunner, Result

from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.contracts.clock import floor_hour
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, record_from_json
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.instance import open_instance, prepare_home
from eth_pipeline.lake import Lake
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import load_settings

AS_OF = datetime(2025, 6, 29, 12, 0, 20, tzinfo=UTC)
SYMBOLS = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT")
HISTORY = timedelta(days=100)
TWO_SYMBOLS_BY_THE_HOUR = {"ETH_PIPELINE_BASE_INTERVAL": "1h", "ETH_PIPELINE_CROSS_SYMBOLS": '["BTCUSDT"]'}
"""`smaller` for tests that train a lot."""


@dataclass(frozen=True)
class SmallHome:
    """A home folder and the exchange it reads; `environment` is what a process needs to work on it."""

    folder: Path
    sandbox: Sandbox
    environment: dict[str, str]

    @contextmanager
    def entered(self) -> Iterator[dg.DagsterInstance]:
        """The home's environment in this process, with its instance open."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            with open_instance(load_settings()) as instance:
                yield instance
        finally:
            os.environ.clear()
            os.environ.update(before)

    def materialize(self, *assets: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """One run of exactly these assets, as the UI and the command line start it."""
        from eth_pipeline.definitions import defs

        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(name) for name in assets}
        )
        return job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)

    def run_job(self, name: str, *, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """One run of a named job, as its schedule starts it."""
        from eth_pipeline.definitions import defs

        job = defs.resolve_job_def(name)
        return job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in its own process, with the home's environment."""
        environment = {**os.environ, **self.environment, "DAGSTER_HOME": str(self.folder / "dagster")}
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def in_process(self, program: BaseCommand, *arguments: str) -> Result:
        """A command in this process, with the home's environment and its exit code: nothing is imported once more."""
        with self.entered():
            return CliRunner().invoke(program, list(arguments))

    def signals(self) -> list[SignalRecord]:
        """Every recorded signal, oldest first."""
        rows = Lake(str(self.folder / "lake")).read(SIGNALS).sort("decision_time")
        return [record_from_json(text) for text in rows["record"]]


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@contextmanager
def small_home(
    folder: Path,
    *,
    strength: float = 1.0,
    history: timedelta = HISTORY,
    smaller: Mapping[str, str] | None = None,
    shared: Path | None = None,
) -> Iterator[SmallHome]:
    """A home with 100 days of four symbols in its lake, the clock 20 s after a full hour.

    Args:
        folder: of the home; empty.
        strength: of the planted signal.
        history: how far the lake reaches back.
        smaller: settings that hold from the first row on: fewer symbols, longer bars.
        shared: `shared_folder` of a test run; its first process that asks for such a home fills it, for all of them,
            and each gets a copy. Without it this home is filled by itself.
    """
    start, end = floor_hour(AS_OF) - history, AS_OF + timedelta(days=30)
    market = SyntheticMarket(seed=7, start=start, end=end, signal_strength=strength, symbols=SYMBOLS)
    plan = MarketPlan(replay=None, as_of=AS_OF, strength=strength, seed=7, years=history.days / 365.25)
    with Sandbox(market, now=AS_OF, port=0) as sandbox:

        def at(place: Path) -> SmallHome:
            return SmallHome(place, sandbox, plan.environment(home=place, url=sandbox.url) | dict(smaller or {}))

        home = at(folder)
        if shared is None:
            _fill(home)
        else:
            wanted = json.dumps([strength, history.total_seconds(), dict(smaller or {})], sort_keys=True)
            filled = shared / f"small-home-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
            with exclusive(filled.with_suffix(".lock")):
                if not filled.exists():
                    unfinished = at(filled.with_suffix(".part"))
                    _fill(unfinished)
                    unfinished.folder.rename(filled)
            shutil.copytree(filled, folder, dirs_exist_ok=True)
        yield home


def _fill(home: SmallHome) -> None:
    """Every stream, as far back as the history goes, through the exchange."""
    with home.entered() as instance:
        prepare_home(load_settings())
        assert home.materialize(*STREAMS, instance=instance).success


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps of a run say to a person."""
    texts = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            texts.append(str(failure.user_failure_data.description if failure.user_failure_data else failure.error))
    return "\n".join(texts)
