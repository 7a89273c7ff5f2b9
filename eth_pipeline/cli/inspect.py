"""`health`, `manifest`, `config show`: what runs here and whether it may.

Belongs here: showing. Does not belong: the checks themselves (`operations.health`).
"""

from typing import Annotated

import typer
from rich.table import Table

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.settings import load_settings

config_app = typer.Typer(help="The configuration.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def health(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show passing checks too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check dependencies, settings, lake, streams, bundle, forecast and the newest signal; exit 1 when unhealthy."""
    with refuse_on_error():
        from eth_pipeline.defs.resources import Pipeline
        from eth_pipeline.operations.health import examine

        pipeline = Pipeline()
        moment = pipeline.moment()
        report = examine(load_settings(), now=moment.now, exchange_reachable=moment.reachable, exchange=moment.detail)
    if as_json:
        print_json(report.as_dict())
    else:
        table = Table(title="Health", title_justify="left")
        for name in ("check", "verdict", "detail"):
            table.add_column(name, overflow="fold")
        for check in report.checks:
            if verbose or not check.passed:
                word = "[green]ok[/]" if check.passed else ("[red]FAIL[/]" if check.required else "[yellow]warn[/]")
                table.add_row(check.name, word, check.detail)
        if table.row_count:
            out.print(table)
        out.print("[bold green]healthy[/]" if report.healthy else "[bold red]unhealthy[/]")
    raise typer.Exit(0 if report.healthy else 1)


def manifest(as_json: AsJson = False) -> None:
    """Show which code, configuration, bundle, packages and data versions are in use here."""
    with refuse_on_error():
        from eth_pipeline.contracts.clock import SystemClock
        from eth_pipeline.defs.emission import run_manifest
        from eth_pipeline.lake import Lake
        from eth_pipeline.registry.production import pointer

        settings = load_settings()
        found = pointer(settings.home)
        value = run_manifest(
            settings,
            Lake(settings.lake_location),
            now=SystemClock().now(),
            fingerprint=found.fingerprint if found else None,
            model_version=found.version if found else None,
        ).as_dict()
        if as_json:
            print_json(value)
            return
        table = Table(title="Runtime manifest", title_justify="left")
        table.add_column("field")
        table.add_column("value", overflow="fold")
        for name, item in value.items():
            lines = "\n".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
            table.add_row(name, lines or "none")
        out.print(table)


@config_app.command()
def show(as_json: AsJson = False) -> None:
    """Show every setting fully expanded, secrets masked, and the digest that names this configuration."""
    with refuse_on_error():
        settings = load_settings()
        if as_json:
            print_json({"digest": settings.digest(), "settings": settings.masked()})
            return
        table = Table(title=f"Configuration {settings.digest()[:12]}", title_justify="left")
        for name in ("setting", "value", "meaning"):
            table.add_column(name, overflow="fold")
        for name, value, meaning in _flat(settings.masked(), type(settings).model_fields):
            table.add_row(name, value, meaning)
        out.print(table)


def _flat(values: dict[str, object], fields: object, prefix: str = "") -> list[tuple[str, str, str]]:
    assert isinstance(fields, dict)
    rows: list[tuple[str, str, str]] = []
    for name, value in values.items():
        info = fields[name]
        nested = getattr(info.annotation, "model_fields", None)
        if isinstance(value, dict) and nested:
            rows += _flat(value, nested, prefix=f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", "none" if value is None else str(value), info.description or ""))
    return rows
