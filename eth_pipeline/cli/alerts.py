"""`eth-pipeline alerts`: what is wrong now, what was told, and whether anybody hears it.

Belongs here: arguments and output. Does not belong: rules, the book, delivery (`operations.alerting`).
"""

import platform
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from rich.markup import escape

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.words import headed, terminal
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.contracts.wording import coded, said
from eth_pipeline.contracts.wording.alerts import TEST, TEST_TITLE, body
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.operations.alerting.book import AlertBook, open_book
from eth_pipeline.operations.alerting.delivery import read_targets, send_directly
from eth_pipeline.operations.alerting.kinds import Message
from eth_pipeline.settings import Settings, load_settings

app = typer.Typer(help="What is wrong, what was told, who is told.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_alerts(as_json: AsJson = False) -> None:
    """Show what is wrong now and was told; exit 1 when something is."""
    with refuse_on_error():
        settings = load_settings()
        with _book(settings) as book:
            raised, undelivered = book.raised(), book.undelivered()
        if as_json:
            rows = [
                {"kind": str(c.kind), "subject": c.subject, "severity": c.severity, "since": iso(at), "text": c.text}
                for c, at in raised
            ]
            print_json({"raised": rows, "undelivered": undelivered})
        else:
            words, language = terminal(settings.language), settings.language
            table = headed("Alerts", "since", "kind", "subject", "text", language=language)
            for condition, at in raised:
                text = said(body(condition.kind, condition.text), language)
                table.add_row(iso(at), coded(condition.kind, language), condition.subject, escape(text))
            out.print(table if raised else f"[green]{words('nothing is wrong')}[/]")
            if undelivered:
                out.print(f"[yellow]{words('{count} messages wait for delivery', count=undelivered)}[/]")
    raise typer.Exit(1 if raised else 0)


@app.command("history")
def history(
    count: Annotated[int, typer.Option("-n", min=1, help="How many messages.")] = 20, as_json: AsJson = False
) -> None:
    """Show the newest messages, newest first."""
    with refuse_on_error():
        settings = load_settings()
        with _book(settings) as book:
            messages = book.history(newest=count)
        if as_json:
            print_json([{"at": iso(at), "title": t, "text": b, "delivered": d} for at, t, b, d in messages])
            return
        words, language = terminal(settings.language), settings.language
        table = headed("Messages", "at", "title", "text", "delivered", language=language)
        for at, title, text, done in messages:
            state = said("yes", language) if done else f"[yellow]{words('waits')}[/]"
            table.add_row(iso(at), escape(said(title, language)), escape(said(text, language)), state)
        out.print(table)


@app.command("check")
def check() -> None:
    """Look once as the sensor does, without Dagster, and deliver what waits; exit 1 when something is wrong.

    Failed runs and failed asset checks are known to Dagster only and are not looked at here.
    """
    with refuse_on_error():
        from eth_pipeline.operations.alerting.watch import home_questions, watch

        settings, now = load_settings(), SystemClock().now()
        told = watch(settings, home_questions(settings, now=now), now=now)
        with open_book(settings, targets=0) as book:
            raised = book.raised()
        for condition, _ in raised:
            text = said(body(condition.kind, condition.text), settings.language)
            kind = coded(condition.kind, settings.language)
            out.print(f"{kind} {condition.subject}: {text}", soft_wrap=True, markup=False)
        counts = {"delivered": told.delivered, "refused": told.refused, "waiting": told.waiting}
        line = "{delivered} messages delivered, {refused} not taken, {waiting} wait."
        out.print(terminal(settings.language)(line, **counts))
    if told.problem is not None:
        err.print(told.problem, soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(1 if raised or told.problem is not None else 0)


@app.command("test")
def test() -> None:
    """Send one message to every target now, past the queue; exit 1 when one did not take it."""
    with refuse_on_error():
        settings = load_settings()
        targets = _targets(settings)
        text = TEST(series=f"{settings.symbol} {settings.phase}", home=settings.home)
        message = Message(0, TEST_TITLE(), text, "info", target=0, attempts=0)
        taken = send_directly(targets, message, sender=platform.node(), language=settings.language)
    for number, took in enumerate(taken, start=1):
        out.print(f"target {number}: " + ("[green]taken[/]" if took else "[red]NOT taken[/]"))
    raise typer.Exit(0 if all(taken) else 1)


def _book(settings: Settings) -> AbstractContextManager[AlertBook]:
    """The book to look into; a home is not made by looking at it."""
    if not settings.home.is_dir():
        raise NeedsHuman(f"There is no home in {settings.home}. Name the right one in ETH_PIPELINE_HOME.")
    return open_book(settings, targets=0)


def _targets(settings: Settings) -> tuple[str, ...]:
    found = read_targets(settings.alerts.targets_file)
    if not found:
        raise SettingsInvalid(
            "Nobody is told: alerts.targets_file is empty or not set. Write one Apprise URL per line into a file of "
            "mode 600 and name it in ETH_PIPELINE_ALERTS__TARGETS_FILE."
        )
    return found
