"""`rollback`, `alias`, `promotions`, `bundle`: what may run online, and the way back.

Belongs here: arguments and output. Does not belong: the steps (`registry.promotions.rollback`,
`registry.promotions.promotion_log`).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from eth_pipeline.cli import air_gap
from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.tables import gates_table
from eth_pipeline.cli.words import headed, terminal
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.wording import said
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
        from eth_pipeline.registry.promotions.promotion import promotion_log
        from eth_pipeline.registry.promotions.rollback import rollback as roll_back
        from eth_pipeline.signals.forecasting.bundle_in_use import expectations

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
        out.print(f"[yellow]The registry does not know of it yet[/]: {escape(back.unreconciled)}", highlight=False)


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
        from eth_pipeline.registry.promotions.alias import check_alias
        from eth_pipeline.registry.promotions.promotion import promotion_log

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
            out.print(f"[red]{escape(said(sentence, settings.language))}[/]")
        style, verdict = ("green", "consistent") if found.consistent else ("bold red", "not consistent")
        out.print(f"[{style}]{terminal(settings.language)(verdict)}[/]")
    raise typer.Exit(0 if found.consistent else 1)


@promotions_app.command("list")
def list_promotions(as_json: AsJson = False) -> None:
    """Show every decision that was recorded, oldest first."""
    with refuse_on_error():
        from eth_pipeline.registry.promotions.promotion import promotion_log

        settings = load_settings()
        entries = promotion_log(settings).entries()
        if as_json:
            print_json([entry.model_dump(mode="json") for entry in entries])
            return
        columns = ("number", "at", "change", "version", "fingerprint", "decision")
        table = headed("Promotions", *columns, language=settings.language)
        for entry in entries:
            number, moment, action = str(entry.sequence), iso(entry.at), said(entry.action, settings.language)
            table.add_row(number, moment, action, entry.version, entry.fingerprint[:12], entry.decision_id)
        out.print(table)


@promotions_app.command("show")
def show_promotion(
    which: Annotated[str, typer.Argument(help="Number of the entry, or id of the decision.")], as_json: AsJson = False
) -> None:
    """Show one entry with every gate of its decision: figure, threshold, verdict, reason."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.registry.promotions.promotion import promotion_log
        from eth_pipeline.registry.promotions.recorded_decision import entry_named, recorded_decision

        settings = load_settings()
        entry = entry_named(promotion_log(settings).verify(), which)
        decision = recorded_decision(entry, store=registry_store(settings), home=settings.home)
    if as_json:
        print_json({**entry.model_dump(mode="json"), "decision": decision.model_dump(mode="json")})
        return
    out.print(f"{entry.sequence}  {iso(entry.at)}  {entry.action}  version {entry.version or '-'}  {entry.decision_id}")
    out.print(said(entry.reason, settings.language), soft_wrap=True, highlight=False, markup=False)
    out.print(gates_table(decision, language=settings.language))


@promotions_app.command("verify")
def verify_promotions(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the registry what it has seen.")] = False,
) -> None:
    """Prove the hash chain of the log, and that its end was not cut; exit 1 when it is not whole."""
    with refuse_on_error():
        from eth_pipeline.defs.assets.training_set import registry_store
        from eth_pipeline.registry.promotions.alias import check_log
        from eth_pipeline.registry.promotions.promotion import promotion_log

        settings = load_settings()
        store = None if offline else registry_store(settings)
        entries = check_log(promotion_log(settings), home=settings.home, store=store)
    seen = "this host has" if offline else "this host and the registry have"
    out.print(f"{len(entries)} entries, the chain is whole and holds what {seen} seen of it.")


@bundle_app.command("export")
def export_bundle(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER ARCHIVE", help="Bundle folder and file to write; --snapshot takes the file only."
        ),
    ] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Write what a node without a network trains from, instead of a bundle.")
    ] = False,
) -> None:
    """Write a bundle, or a training snapshot, to one file; the same bundle gives the same bytes on every host."""
    given = paths or []
    if (snapshot and len(given) > 1) or (not snapshot and len(given) != 2):
        raise typer.BadParameter("Give FOLDER ARCHIVE, or --snapshot [ARCHIVE].")
    with refuse_on_error():
        if snapshot:
            air_gap.export_snapshot(given[0] if given else None)
            return
        from eth_pipeline.registry.bundles.archive import pack_bundle
        from eth_pipeline.registry.bundles.bundle import fingerprint

        folder, archive = given
        pack_bundle(folder, archive)
        out.print(f"{archive} holds bundle {fingerprint(folder)[:12]}.", soft_wrap=True)


@bundle_app.command("import")
def import_bundle(
    archive: Annotated[Path | None, typer.Argument(help="File that `bundle export` wrote.")] = None,
    folder: Annotated[Path | None, typer.Argument(help="New folder for the bundle.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="File that `bundle export --snapshot` wrote; on a node.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="File that `bundle collect` wrote; on the signal host.")
    ] = None,
) -> None:
    """Unpack a bundle into a new folder, or take over a training snapshot or a node's candidates, verified.

    A bundle proves nothing until it is verified or promoted here.
    """
    given = [path is not None for path in (archive, snapshot, candidates)]
    if sum(given) != 1 or (archive is None) != (folder is None):
        raise typer.BadParameter("Give one of ARCHIVE FOLDER, --snapshot FILE, --candidates FILE.")
    with refuse_on_error():
        if snapshot is not None:
            air_gap.import_snapshot(snapshot)
            return
        if candidates is not None:
            air_gap.import_candidates(candidates)
            return
        assert archive is not None
        assert folder is not None
        from eth_pipeline.registry.bundles.archive import unpack_bundle
        from eth_pipeline.registry.bundles.bundle import fingerprint

        unpack_bundle(archive, folder)
        out.print(f"{folder} holds bundle {fingerprint(folder)[:12]}. Verify or promote it before use.", soft_wrap=True)


@bundle_app.command("collect")
def collect_candidates(
    archive: Annotated[
        Path | None, typer.Argument(help="File to write; empty means one below <home>/outgoing.")
    ] = None,
) -> None:
    """On a node that trains from a snapshot: write its candidates and all that tells of them to one signed file."""
    with refuse_on_error():
        air_gap.collect(archive)


@bundle_app.command("verify")
def verify_bundle_folder(folder: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> None:
    """Verify signature, hashes, models, expiry, schema and decision of a bundle, as every load does; exit 1 if not."""
    with refuse_on_error():
        from eth_pipeline.defs.resources import Pipeline
        from eth_pipeline.registry.bundles.bundle import verify_bundle
        from eth_pipeline.registry.bundles.onnx_graph import require_sound_models
        from eth_pipeline.signals.forecasting.bundle_in_use import expectations

        found = verify_bundle(folder, **expectations(load_settings(), now=Pipeline().moment().now))
        require_sound_models(found.folder, found.contract)
        out.print(
            f"Bundle {found.fingerprint[:12]} may be loaded until {iso(found.contract.expires_at)} "
            f"(decision {found.decision.decision_id})."
        )
