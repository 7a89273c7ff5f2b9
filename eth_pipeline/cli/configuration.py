"""`config`: the configuration in use, the ones before it, and what changed between them.

Belongs here: showing. Does not belong: storing (`operations.config_audit`), reading settings (`settings`).
"""

from typing import Annotated

import typer
from rich.markup import escape

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.cli.words import headed
from eth_pipeline.settings import load_settings

app = typer.Typer(help="The configuration.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("history")
def history(as_json: AsJson = False) -> None:
    """Show every configuration that came into use here: when, by whom, on which host, by which command."""
    with refuse_on_error():
        from eth_pipeline.operations.config_audit import config_history

        settings = load_settings()
        changes = config_history(settings.home)
    if as_json:
        print_json([vars(change) for change in changes])
        return
    columns = ("since", "configuration", "user", "host", "command", "commit")
    table = headed("Configurations in use", *columns, language=settings.language)
    for change in changes:
        who = (change.user, change.host, change.command)
        table.add_row(change.at, change.digest[:12], *map(escape, who), change.commit[:12])
    out.print(table)


@app.command("diff")
def diff(
    before: Annotated[
        str | None, typer.Argument(help="Digest or its beginning; the one before last by default.")
    ] = None,
    after: Annotated[str | None, typer.Argument(help="Digest or its beginning; the newest by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two configurations, by default the last two."""
    with refuse_on_error():
        from eth_pipeline.operations.config_audit import config_history, differences, stored_configuration

        settings = load_settings()
        home = settings.home
        newest = [change.digest for change in config_history(home)][-2:]
        if len(newest) < 2 and (before is None or after is None):
            print_json([]) if as_json else out.print("Fewer than two configurations were in use here so far.")
            return
        old, new = before or newest[0], after or newest[1]
        found = differences(stored_configuration(home, old), stored_configuration(home, new))
    if as_json:
        print_json([vars(item) for item in found])
        return
    table = headed(
        "Configuration {old} to {new}",
        *("setting", "before", "after"),
        language=settings.language,
        old=old[:12],
        new=new[:12],
    )
    for item in found:
        table.add_row(item.setting, escape(str(item.before)), escape(str(item.after)))
    out.print(table)


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """Show every setting fully expanded, secrets masked, and the digest that names this configuration."""
    with refuse_on_error():
        settings = load_settings()
        if as_json:
            print_json({"digest": settings.digest(), "settings": settings.masked()})
            return
        columns, digest = ("setting", "value", "meaning"), settings.digest()[:12]
        table = headed("Configuration {digest}", *columns, language=settings.language, digest=digest)
        for name, value, meaning in _flat(settings.masked(), type(settings).model_fields):
            table.add_row(name, escape(value), escape(meaning))
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
