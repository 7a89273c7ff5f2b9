"""`rollback`, `alias`, `promotions`, `bundle`: what may run online, and the way back.

Belongs here: arguments and output. Does not belong: the steps (`registry.rollback`, `registry.promotion_log`).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.contracts.clock import iso
from eth_pipeline.settings import load_settings

promotions_app = typer.Typer(help="The promotion log.", no_args_is_help=True)
bundle_app = typer.Typer(help="Model bundles as files, for hosts that share no registry.", no_args_is_help=True)
NOT_CHECKED = 3
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
        back = roll_back(
            registry_store(settings),
            promotion_log(settings),
            home=settings.home,
            run_id="command-line",
            reason=reason,
            to_version=to,
            **expectations(settings, now=now),
        )
    out.print(
        f"Production is version {back.version}, bundle {back.bundle.fingerprint[:12]} "
        f"(decision {back.bundle.decision.decision_id})."
    )
    if back.unreconciled:
        out.print(f"[yellow]The registry does not know of it yet[/]: {back.unreconciled}", highlight=False)


def alias(
    check_only: Annotated[bool, typer.Option("--check-only", help="Change nothing; the only mode there is.")] = True,
    as_json: AsJson = False,
) -> None:
    """Check that registry alias, promotion log and the bundle on this host agree.

    Exit codes: 0 they agree, 1 they do not, 3 the registry does not answer, so that nothing can be said.
    """
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.errors import RegistryUnavailable
        from eth_pipeline.registry.alias import check_alias
        from eth_pipeline.registry.promotion import promotion_log

        settings = load_settings()
        try:
            found = check_alias(registry_store(settings), promotion_log(settings), home=settings.home)
        except RegistryUnavailable as error:
            err.print(str(error), highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(NOT_CHECKED) from error
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


@promotions_app.command("show")
def show_promotion(
    which: Annotated[str, typer.Argument(help="Number of the entry, or id of the decision.")], as_json: AsJson = False
) -> None:
    """Show one entry with every gate of its decision: figure, threshold, verdict, reason."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.registry.promotion import promotion_log
        from eth_pipeline.registry.recorded_decision import entry_named, recorded_decision

        settings = load_settings()
        entry = entry_named(promotion_log(settings).verify(), which)
        decision = recorded_decision(entry, store=registry_store(settings), home=settings.home)
    if as_json:
        print_json({**entry.model_dump(mode="json"), "decision": decision.model_dump(mode="json")})
        return
    out.print(f"{entry.sequence}  {iso(entry.at)}  {entry.action}  version {entry.version or '-'}  {entry.decision_id}")
    out.print(entry.reason, soft_wrap=True, highlight=False, markup=False)
    table = Table(title="Gates", title_justify="left")
    for name in ("gate", "verdict", "value", "threshold", "required for", "reason"):
        table.add_column(name, overflow="fold")
    for gate in decision.gates:
        verdict = "[green]pass[/]" if gate.passed else "[red]FAIL[/]"
        required = ", ".join(gate.required_for)
        table.add_row(gate.name, verdict, _figure(gate.value), _figure(gate.threshold), required, gate.reason)
    out.print(table)


@promotions_app.command("verify")
def verify_promotions(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the registry what it has seen.")] = False,
) -> None:
    """Prove the hash chain of the log, and that its end was not cut; exit 1 when it is not whole."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.registry.alias import check_log
        from eth_pipeline.registry.promotion import promotion_log

        settings = load_settings()
        store = None if offline else registry_store(settings)
        entries = check_log(promotion_log(settings), home=settings.home, store=store)
    seen = "this host has" if offline else "this host and the registry have"
    out.print(f"{len(entries)} entries, the chain is whole and holds what {seen} seen of it.")


@bundle_app.command("export")
def export_bundle(
    folder: Annotated[Path, typer.Argument(help="Bundle folder: a candidate, or one below <home>/production.")],
    archive: Annotated[Path, typer.Argument(help="File to write.")],
) -> None:
    """Write a bundle to one file; the same bundle gives the same bytes on every host."""
    with refuse_on_error():
        from eth_pipeline.registry.archive import pack_bundle
        from eth_pipeline.registry.bundle import fingerprint

        pack_bundle(folder, archive)
        out.print(f"{archive} holds bundle {fingerprint(folder)[:12]}.", soft_wrap=True)


@bundle_app.command("import")
def import_bundle(
    archive: Annotated[Path, typer.Argument(help="File that `bundle export` wrote.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the bundle.")],
) -> None:
    """Unpack a bundle into a new folder; it proves nothing until it is verified or promoted here."""
    with refuse_on_error():
        from eth_pipeline.registry.archive import unpack_bundle
        from eth_pipeline.registry.bundle import fingerprint

        unpack_bundle(archive, folder)
        out.print(f"{folder} holds bundle {fingerprint(folder)[:12]}. Verify or promote it before use.", soft_wrap=True)


@bundle_app.command("verify")
def verify_bundle_folder(folder: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> None:
    """Verify signature, hashes, models, expiry, schema and decision of a bundle, as every load does; exit 1 if not."""
    with refuse_on_error():
        from eth_pipeline.defs.resources import Pipeline
        from eth_pipeline.registry.bundle import verify_bundle
        from eth_pipeline.registry.onnx_graph import require_sound_models
        from eth_pipeline.signals.evidence import expectations

        found = verify_bundle(folder, **expectations(load_settings(), now=Pipeline().moment().now))
        require_sound_models(found.folder, found.contract)
        out.print(
            f"Bundle {found.fingerprint[:12]} may be loaded until {iso(found.contract.expires_at)} "
            f"(decision {found.decision.decision_id})."
        )


def _figure(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str("-" if value is None else value)
