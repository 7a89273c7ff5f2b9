"""`eth-pipeline kill-switch`: no signal may open anything while it is on.

Belongs here: showing and moving it. Does not belong: what it does to an hour (`signals.gating.gate`).
"""

from typing import Annotated

import typer

from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.settings import load_settings
from eth_pipeline.signals.gating.kill_switch import pull, release, why

app = typer.Typer(help="Stop every opening until it is released.", no_args_is_help=True)


@app.command("on")
def switch_on(reason: Annotated[str, typer.Option(help="Why; every blocked signal repeats it.")] = "by hand") -> None:
    """Block every signal from now on."""
    with refuse_on_error():
        pull(load_settings().home, reason=reason)
        out.print("[bold red]on[/]")


@app.command("off")
def switch_off() -> None:
    """Release it; the next hour is judged on its data again."""
    with refuse_on_error():
        out.print("[green]off[/]" if release(load_settings().home) else "it was not on")


@app.command("status")
def status() -> None:
    """Say whether it is on, and why; exit 1 when it is."""
    with refuse_on_error():
        reason = why(load_settings().home)
        out.print("[green]off[/]" if reason is None else f"[bold red]on[/]: {reason}")
    raise typer.Exit(0 if reason is None else 1)
