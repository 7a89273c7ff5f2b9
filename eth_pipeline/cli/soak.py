"""`eth-pipeline soak`: weeks of hourly operation in minutes, while everything fails on schedule.

Belongs here: arguments, preparing a home, progress, exit code. Does not belong: driving the hours (`soak`).
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.market import MarketPlan

_LEAD = timedelta(seconds=20)
_QUICK_TRAINING = {
    "ETH_PIPELINE_TRAINING__HORIZONS_HOURS": "[5]",
    "ETH_PIPELINE_TRAINING__REFIT_EVERY_HOURS": "2904",
    "ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS": "4080",
    "ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES": "50",
}
"""One horizon, few refits and few resamples; the gates are the defaults."""
_STRENGTH, _MARKET_SEED, _YEARS = 1.2, 7, 1.7


def soak(
    days: Annotated[float, typer.Option(min=0.05, help="Virtual days to live through.")] = 2.0,
    faults: Annotated[Path | None, typer.Option(help="Plan of troubles; empty means the one that comes along.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the schedule; the same seed gives the same troubles.")] = 1,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("soak"),
    home: Annotated[
        Path | None,
        typer.Option(help="Demo home with a promoted model, to live on from there; empty makes one for the while."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Live through days of hourly operation on the embedded exchange, with everything failing on schedule.

    Exit codes: 0 every invariant held, 1 one did not.
    """
    with refuse_on_error():
        require_usable(faults)  # making a home takes minutes: a plan that cannot be used is refused before
    with refuse_on_error(), _prepared(home) as prepared:
        report = run_on(prepared, days=days, faults=faults, seed=seed, folder=folder)
    if as_json:
        print_json(report)
    else:
        word = (
            "[green]passed[/]"
            if report["passed"]
            else f"[bold red]{len(report['decided']['violations'])} violations[/]"
        )
        out.print(f"Soak of {days:g} days, seed {seed}: {word}. Report: {folder / 'soak.md'}")
    raise typer.Exit(0 if report["passed"] else 1)


def require_usable(faults: Path | None) -> None:
    """Read the plan of troubles and forget it.

    Raises:
        SettingsInvalid: it cannot be read, or is no plan.
    """
    from eth_pipeline.soak.plan import DEFAULT_PLAN, read_plan

    read_plan(faults or DEFAULT_PLAN)


def run_on(home: Path, *, days: float, faults: Path | None, seed: int, folder: Path) -> dict[str, Any]:
    """Live through the soak on a prepared home and write its report.

    Raises:
        NeedsHuman: the home has no market or no promoted model.
        SettingsInvalid: the plan cannot be read.
    """
    from eth_pipeline.errors import NeedsHuman
    from eth_pipeline.sandbox.server import Sandbox
    from eth_pipeline.settings import load_settings
    from eth_pipeline.soak.hours import Soak, require_promoted
    from eth_pipeline.soak.plan import DEFAULT_PLAN, read_plan
    from eth_pipeline.soak.report import soak_report, write_report
    from eth_pipeline.soak.schedule import draw_schedule

    plan = read_plan(faults or DEFAULT_PLAN)
    market = MarketPlan.load(home)
    if market is None:
        raise NeedsHuman(f"{home} is no demo home: it remembers no market. Make one with eth-pipeline demo.")
    schedule = draw_schedule(plan, days=days, seed=seed)
    with Sandbox(market.build(), now=market.as_of + _LEAD) as sandbox:
        environment = {**market.environment(home=home, url=sandbox.url), **_trained_with()}
        os.environ.update({**environment, **plan.environment})
        settings = load_settings()
        require_promoted(settings)
        with (
            _progress(len(schedule)) as advance,
            Soak(
                plan,
                sandbox=sandbox,
                settings=settings,
                environment=environment,
                monotonic=time.monotonic,
                each=lambda _: advance(),
            ) as running,
        ):
            diary = running.live(schedule)
    report = soak_report(diary, schedule=schedule, seed=seed, days=days)
    write_report(folder, report)
    return report


def _trained_with() -> dict[str, str]:
    """Training settings of this process, which the bundle's horizons follow."""
    return {name: value for name, value in os.environ.items() if name.startswith("ETH_PIPELINE_TRAINING__")}


@contextmanager
def _prepared(home: Path | None) -> Iterator[Path]:
    """The named home, or a new one whose model was trained and promoted by the demo, removed afterwards."""
    if home is not None:
        yield home.resolve()
        return
    from eth_pipeline.cli.demo import DemoPlan, run_demo

    os.environ.update(_QUICK_TRAINING)
    with tempfile.TemporaryDirectory(prefix="eth-pipeline-soak-", ignore_cleanup_errors=True) as scratch:
        plan = DemoPlan.make(
            home=Path(scratch), replay=None, as_of=None, strength=_STRENGTH, seed=_MARKET_SEED, years=_YEARS
        )
        run_demo(plan)
        yield plan.home


@contextmanager
def _progress(hours: int) -> Iterator[Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("hours"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("hours", total=hours)
        yield lambda: progress.advance(task)
