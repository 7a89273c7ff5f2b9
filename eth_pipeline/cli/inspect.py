"""`health`, `manifest`: what runs here and whether it may.

Belongs here: showing. Does not belong: the checks themselves (`operations.health`).
"""

from typing import Annotated

import typer
from rich.markup import escape

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.cli.tables import checks_table, process_table
from eth_pipeline.cli.words import headed, terminal
from eth_pipeline.settings import load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def health(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show passing checks too.")] = False,
    before_start: Annotated[
        bool, typer.Option("--before-start", help="For a service manager: what a running daemon cures is a warning.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check dependencies, settings, lake, streams, bundle, forecast, registry and alerts; exit 1 when unhealthy."""
    with refuse_on_error():
        from eth_pipeline.defs.resources import Pipeline
        from eth_pipeline.operations.health import examine

        pipeline, settings = Pipeline(), load_settings()
        moment = pipeline.moment()
        report = examine(
            settings,
            now=moment.now,
            exchange_reachable=moment.reachable,
            exchange=moment.detail,
            occasion="start" if before_start else "running",
        )
    if as_json:
        print_json(report.as_dict())
    else:
        words = terminal(settings.language)
        if shown := [check for check in report.checks if verbose or not check.passed]:
            out.print(checks_table(shown, language=settings.language))
        verdict = words("healthy" if report.healthy else "unhealthy")
        out.print(f"[bold {'green' if report.healthy else 'red'}]{verdict}[/]")
    raise typer.Exit(0 if report.healthy else 1)


def manifest(as_json: AsJson = False) -> None:
    """Show which code, configuration, bundle, packages and data versions are in use here, and by which processes.

    A process that was started by `up` or a service unit is listed with its start, and with what has changed since.
    """
    with refuse_on_error():
        from eth_pipeline.contracts.clock import SystemClock
        from eth_pipeline.defs.emission import run_manifest
        from eth_pipeline.lake import Lake
        from eth_pipeline.operations.processes import process_statuses
        from eth_pipeline.registry.promotions.production import pointer

        settings = load_settings()
        found = pointer(settings.home)
        value = run_manifest(
            settings,
            Lake.of(settings),
            now=SystemClock().now(),
            fingerprint=found.fingerprint if found else None,
            model_version=found.version if found else None,
        ).as_dict()
        processes = process_statuses(settings)
        if as_json:
            print_json(value | {"processes": [process.as_dict() for process in processes]})
            return
        table = headed("Runtime manifest", "field", "value", language=settings.language)
        for name, item in value.items():
            lines = "\n".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
            table.add_row(name, escape(lines) or "none")
        out.print(table)
        out.print(process_table(processes, language=settings.language))
