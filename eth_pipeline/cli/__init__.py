"""The command line: `eth-pipeline`. Exit codes: 0 done, 1 refused or unhealthy, 2 wrong usage.

Belongs here: arguments, output, exit codes; one module per command group. Does not belong: logic.
"""

import signal
from pathlib import Path
from typing import Annotated

import typer

from eth_pipeline.cli import (
    alerts,
    board,
    configuration,
    deadman,
    exchange,
    inspect,
    keys,
    kill_switch,
    node,
    prepare,
    registry,
    serving,
    shadow,
    signals,
    soak,
    start,
)
from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.cli.plan import commands as plan_commands
from eth_pipeline.cli.training import search, vintages

app = typer.Typer(
    name="eth-pipeline",
    help="Binance ETH/USDT market data to hourly signals that an operator can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def heed_interrupts() -> None:
    """Binance ETH/USDT market data to hourly signals that an operator can trust."""
    # A script's `command &` ignores SIGINT, and children inherit that. Dagster ends its own helpers by SIGINT and then
    # waits for them: `vintages train` and `up` would never end.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


sandbox_app = typer.Typer(help="The embedded exchange.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")
sandbox_app.add_typer(exchange.fault_app, name="fault")
app.command("ingest")(exchange.ingest)
app.command("backfill")(exchange.backfill)
app.add_typer(signals.app, name="signals")
app.add_typer(kill_switch.app, name="kill-switch")
app.add_typer(configuration.app, name="config")
app.add_typer(vintages.app, name="vintages")
app.add_typer(node.app, name="node")
app.command("search")(search.search)
app.add_typer(plan_commands.app, name="plan")
app.add_typer(registry.promotions_app, name="promotions")
app.add_typer(keys.app, name="keys")
app.add_typer(registry.bundle_app, name="bundle")
app.command("rollback")(registry.rollback)
app.command("alias")(registry.alias)
app.command("serve-model")(serving.serve_model)
app.command("prepare")(prepare.prepare)
app.command("health")(inspect.health)
app.command("deadman")(deadman.deadman)
app.add_typer(alerts.app, name="alerts")
app.command("shadow-report")(shadow.shadow_report)
app.command("board")(board.board)
app.command("manifest")(inspect.manifest)
app.command("start")(start.start)
app.command("soak")(soak.soak)

_HOME = Path(".eth_pipeline")


@app.command("demo")
def demo_command(
    home: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = _HOME / "demo",
    replay: Annotated[Path | None, typer.Option(help="Folder of parquet recordings instead of synthetic data.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Virtual exchange time, for example 2025-06-29T12:00:00Z.")] = None,
    strength: Annotated[float, typer.Option(min=0.0, help="Planted signal of the synthetic market; 0 is none.")] = 1.5,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 7,
    years: Annotated[float, typer.Option(min=0.5, help="Years of synthetic history.")] = 2.0,
) -> None:
    """Ingest, train, decide, promote and show the newest signal, all on the embedded exchange."""
    with refuse_on_error():
        from eth_pipeline.cli.demo import DemoPlan, run_demo

        plan = DemoPlan.make(home=home, replay=replay, as_of=as_of, strength=strength, seed=seed, years=years)
        run_demo(plan)


@app.command("up")
def up_command(
    home: Annotated[Path | None, typer.Option(help="Home to serve; a demo home brings its exchange along.")] = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI, on loopback.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of MLflow, on loopback.")] = 5000,
    board_port: Annotated[int, typer.Option(help="Port of the board, on loopback.")] = 5003,
    check: Annotated[bool, typer.Option("--check", help="Stop again as soon as everything is healthy.")] = False,
) -> None:
    """Start UI, daemon, MLflow, board (and a demo home's exchange), wait until healthy, stop on Ctrl-C."""
    with refuse_on_error():
        from eth_pipeline.cli.up import run_up

        run_up(home=home, port=port, mlflow_port=mlflow_port, board_port=board_port, stop_when_healthy=check)


@sandbox_app.command("serve")
def sandbox_serve(
    port: Annotated[int, typer.Option(help="Port on loopback; 0 picks a free one.")] = 8900,
    replay: Annotated[Path | None, typer.Option(help="Folder of parquet recordings instead of synthetic data.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Virtual exchange time at the start.")] = None,
    strength: Annotated[float, typer.Option(min=0.0, help="Planted signal of the synthetic market.")] = 1.5,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 7,
    years: Annotated[float, typer.Option(min=0.5, help="Years of synthetic history.")] = 2.0,
    clock_speed: Annotated[float, typer.Option(min=0.0, help="Virtual seconds per second; 0 stands still.")] = 1.0,
) -> None:
    """Serve the embedded exchange on loopback until Ctrl-C; it lists the configured symbols, too."""
    with refuse_on_error():
        from eth_pipeline.cli.market import MarketPlan
        from eth_pipeline.sandbox.serve import serve
        from eth_pipeline.settings import load_settings

        plan = MarketPlan.make(replay=replay, as_of=as_of, strength=strength, seed=seed, years=years)
        serve(
            plan.build(also=load_settings().symbols),
            now=plan.as_of,
            port=port,
            clock_speed=clock_speed,
            announce=lambda sandbox: out.print(f"The embedded exchange listens at {sandbox.url}", soft_wrap=True),
        )
