"""`rollback`, `alias`, `promotions`: what may run online, and the way back.

Belongs here: arguments and output. Does not belong: the steps (`registry.rollback`, `registry.promotion_log`).
"""

from typing import Annotated

import typer
from rich.table import Table

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.contracts.clock import iso
from eth_pipeline.settings import load_settings

promotions_app = typer.Typer(help="The promotion log.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def rollback(
    to: Annotated[str | None, typer.Option(help="Registry version to return to; empty means the previous one.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes into the promotion log.")] = "asked for on the command line",
) -> None:
    """Return production to the previous signed version, verified again and recorded; the next hour runs on it."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.defs.resources import Pipeline
        from eth_pipeline.registry.promotion import promotion_log
        from eth_pipeline.registry.rollback import rollback as roll_back
        from eth_pipeline.signals.evidence import expectations

        settings = load_settings()
        now = Pipeline().moment().now
        bundle = roll_back(
            registry_store(settings),
            promotion_log(settings),
            home=settings.home,
            run_id="command-line",
            reason=reason,
            to_version=to,
            **expectations(settings, now=now),
        )
        out.print(f"Production is bundle {bundle.fingerprint[:12]} (decision {bundle.decision.decision_id}).")


def alias(
    check_only: Annotated[bool, typer.Option("--check-only", help="Change nothing; the only mode there is.")] = True,
    as_json: AsJson = False,
) -> None:
    """Check that registry alias, promotion log and the bundle on this host agree; exit 1 when they do not."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.registry.alias import check_alias
        from eth_pipeline.registry.promotion import promotion_log

        settings = load_settings()
        found = check_alias(registry_store(settings), promotion_log(settings), home=settings.home)
    if as_json:
        print_json({"consistent": found.consistent, "disagreements": found.disagreements, "check_only": check_only})
    else:
        for sentence in found.disagreements:
            out.print(f"[red]{sentence}[/]")
        out.print("[green]consistent[/]" if found.consistent else "[bold red]not consistent[/]")
    raise typer.Exit(0 if found.consistent else 1)


@promotions_app.command("list")
def list_promotions(as_json: AsJson = False) -> None:
    """Show every decision that was recorded, oldest first."""
    with refuse_on_error():
        from eth_pipeline.registry.promotion import promotion_log

        entries = promotion_log(load_settings()).entries()
        if as_json:
            print_json([entry.model_dump(mode="json") for entry in entries])
            return
        table = Table(title="Promotions", title_justify="left")
        for name in ("#", "at", "action", "version", "fingerprint", "decision"):
            table.add_column(name, overflow="fold")
        for entry in entries:
            number, moment = str(entry.sequence), iso(entry.at)
            table.add_row(number, moment, entry.action, entry.version, entry.fingerprint[:12], entry.decision_id)
        out.print(table)


@promotions_app.command("verify")
def verify_promotions() -> None:
    """Prove the hash chain of the log; exit 1 when it is broken."""
    with refuse_on_error():
        from eth_pipeline.registry.promotion import promotion_log

        out.print(f"{len(promotion_log(load_settings()).verify())} entries, the chain is whole.")
