"""`plan`: run a training plan, say what it would do, how it went, and whether this host is fit for it.

Belongs here: arguments, output, exit codes for cron. Does not belong: the order of stages (`plan_runner`), the shape of
the plan file (`operations.plan.spec`).

Exit codes: 0 done; 1 a stage failed; 2 wrong usage, or a plan file or settings that cannot be used; 3 a check before
the start failed, nothing was run; 75 another plan runs in this home; 130 interrupted, what is finished stays so.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.plan.checks import exchange_time, plan_checks, refuse, refused
from eth_pipeline.cli.tables import checks_table
from eth_pipeline.cli.words import headed
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.contracts.wording import said
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.operations.plan.spec import ALL, PlanSpec, environment_for_symbol, environment_of, load_plan
from eth_pipeline.operations.plan.state import PlanRunning, PlanState, stored_states
from eth_pipeline.operations.plan.summary import STAGE_HEADER, stage_rows, state_json
from eth_pipeline.settings import Language, NetworkDevice, Settings, load_settings

FAILED, UNUSABLE, BUSY, INTERRUPTED = 1, 2, 75, 130

app = typer.Typer(help="The training plan of a node.", no_args_is_help=True)
Target = Annotated[str, typer.Argument(help="A stage of the plan with what it needs, or `all`.")]
PlanFile = Annotated[Path, typer.Option("--plan", help="The plan file.")]
ScaleName = Annotated[str, typer.Option("--scale", help="A scale of the plan file: how large the run is.")]
Symbol = Annotated[str | None, typer.Option(help="Symbol to train for; by default the settings' one.")]
Timeframe = Annotated[str, typer.Option(help="Timeframe of the decisions.")]
Home = Annotated[Path | None, typer.Option(help="Home folder; by default the settings' one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PLAN = Path("h800/plan.yaml")


@app.command("run")
def run(
    target: Target = ALL,
    plan: PlanFile = _PLAN,
    scale: ScaleName = "full",
    symbol: Symbol = None,
    timeframe: Timeframe = "1h",
    home: Home = None,
    check_only: Annotated[bool, typer.Option("--check-only", help="Check, say what would run, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a plan, or take up again the one that was interrupted; what is finished on the same inputs is skipped."""
    with _usable():
        spec, settings = _prepared(plan, target=target, scale=scale, symbol=symbol, timeframe=timeframe, home=home)
    with refuse_on_error():
        from eth_pipeline.cli.plan.outlook import Asked, outlook
        from eth_pipeline.cli.plan.runner import run_plan

        asked = Asked(target=target, scale=scale, symbol=settings.symbol, timeframe=timeframe)
        checks = plan_checks(spec, settings, scale=scale)
        would = outlook(spec, asked, settings=settings) if check_only else []
        if check_only and as_json:
            print_json({"checks": [vars(c) for c in checks], "stages": [vars(each) for each in would]})
        elif check_only:
            out.print(checks_table(checks, title="Checks", language=settings.language))
            for each in would:
                done = "runs " + ", ".join(each.assets) if each.runs else "skipped"
                out.print(f"{each.stage}: {done} ({each.why})", markup=False)
        if refused(checks):
            refuse(checks)
        if check_only:
            return
        _stop_by_terminate()
        try:
            state = run_plan(spec, asked, settings=settings, clock=SystemClock())
        except PlanRunning as error:
            err.print(str(error), highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(BUSY) from error
        except KeyboardInterrupt as stop:
            err.print("Interrupted. The same command goes on where it stopped.", highlight=False)
            raise typer.Exit(INTERRUPTED) from stop
        _show(state, settings, as_json=as_json)
        if state.outcome != "done":
            raise typer.Exit(FAILED)


@app.command("check")
def check(
    target: Target = ALL,
    plan: PlanFile = _PLAN,
    scale: ScaleName = "full",
    symbol: Symbol = None,
    timeframe: Timeframe = "1h",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """The same as `run --check-only`."""
    run(target, plan, scale, symbol, timeframe, home, True, as_json)


@app.command("status")
def status(
    home: Home = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest plans.")] = 1,
    as_json: AsJson = False,
) -> None:
    """How the newest plans went, or how far the running one is; exit 1 where the newest is not done."""
    with refuse_on_error():
        settings = load_settings(**({"home": home} if home else {}))
        states = stored_states(settings.home)[:limit]
    if as_json:
        print_json([state_json(state, comparison=None) for state in states])
    elif not states:
        out.print("No plan was run in this home.")
    else:
        for state in states:
            out.print(_stages_table(state, language=settings.language))
    if not states or states[0].outcome not in ("done", "running"):
        raise typer.Exit(FAILED)


@app.command("preflight")
def preflight(
    plan: PlanFile = _PLAN,
    scale: ScaleName = "full",
    home: Home = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="No GPU is asked for.")] = False,
    as_json: AsJson = False,
) -> None:
    """Driver, CUDA, torch, memory, shared memory, disk, clock: is this host fit? Exit 3 where it is not."""
    with _usable():
        spec, settings = _prepared(plan, target=ALL, scale=scale, symbol=None, timeframe="1h", home=home)
    with refuse_on_error():
        from eth_pipeline.operations.plan.preflight import clock_check, host_checks

        requires = spec.scale(scale).requires
        found = host_checks(settings, requires=requires, gpu="none" if cpu else "required")
        now, offset = exchange_time(settings)
        checks = (*found, clock_check(settings, requires=requires, clock_offset=offset))
    if as_json:
        print_json({"at": iso(now), "fit": not refused(checks), "checks": [vars(each) for each in checks]})
    else:
        out.print(checks_table(checks, title="Checks", language=settings.language))
    if refused(checks):
        refuse(checks)


@app.command("smoke")
def smoke(
    device: Annotated[NetworkDevice, typer.Option(help="Where the networks train.")] = "auto",
    hours: Annotated[int, typer.Option(min=1, help="Hours of the planted history.")] = 20_000,
    epochs: Annotated[int, typer.Option(min=1, help="Passes of each network.")] = 6,
    as_json: AsJson = False,
) -> None:
    """Train, export and compare one model of each kind on a planted history; exit 1 where one did not learn it."""
    with refuse_on_error():
        from eth_pipeline.operations.plan.smoke import smoke_test

        results = smoke_test(device=device, hours=hours, epochs=epochs)
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        table = headed("Smoke test", language=load_settings().language)
        for code in results[0].as_dict():
            table.add_column(code.replace("_", " "))
        for result in results:
            table.add_row(*(str(value) for value in result.as_dict().values()))
        out.print(table)
    if not all(result.passed for result in results):
        raise typer.Exit(FAILED)


@app.command("stage", hidden=True)
def stage(
    job: Annotated[str, typer.Argument()],
    assets: Annotated[str, typer.Option()],
    tags: Annotated[str, typer.Option()],
    steps_at_once: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """One stage in this process; `run` starts it."""
    with refuse_on_error():
        from eth_pipeline.cli.plan.stage import run_stage

        if not run_stage(job, assets=tuple(assets.split(",")), tags=json.loads(tags), steps_at_once=steps_at_once):
            raise typer.Exit(FAILED)


@contextmanager
def _usable() -> Iterator[None]:
    """A plan file, a name or settings that cannot be used are wrong usage."""
    try:
        yield
    except SettingsInvalid as error:
        err.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(UNUSABLE) from error


def _prepared(
    plan: Path, *, target: str, scale: str, symbol: str | None, timeframe: str, home: Path | None
) -> tuple[PlanSpec, Settings]:
    """The plan, and the settings of its scale; they are set in this process's environment, which stages inherit."""
    spec = load_plan(plan)
    spec.selected(target)
    spec.require_timeframe(timeframe)
    os.environ.update(environment_of(spec.scale(scale).settings))
    if home is not None:
        os.environ["ETH_PIPELINE_HOME"] = str(home.resolve())
    if symbol is not None:
        os.environ.update(environment_for_symbol(symbol, symbols=load_settings().symbols))
    return spec, load_settings()


def _stop_by_terminate() -> None:
    """A service manager's SIGTERM is an interrupt like Ctrl-C."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _show(state: PlanState, settings: Settings, *, as_json: bool) -> None:
    folder = settings.home / "plans" / state.plan_id
    if as_json:
        print_json(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
        return
    out.print(_stages_table(state, language=settings.language))
    out.print(f"Summary: {folder / 'summary.md'}", soft_wrap=True, highlight=False)


def _stages_table(state: PlanState, *, language: Language) -> Table:
    plan, outcome = state.plan_id, said(state.outcome, language)
    table = headed("Plan {plan}: {outcome}", *STAGE_HEADER, language=language, plan=plan, outcome=outcome)
    for row in stage_rows(state):
        table.add_row(*map(escape, row))
    return table
