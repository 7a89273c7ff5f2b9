"""`eth-pipeline deadman`: one look from outside, for a timer.

Belongs here: the clock, exit codes, telling without a book where the disk is full. Does not belong: the judgement
(`operations.alerting.deadman`). Neither Dagster nor the exchange is needed.
"""

import platform
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.words import terminal
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import SystemClock, iso
from eth_pipeline.contracts.wording import said
from eth_pipeline.contracts.wording.alerts import body
from eth_pipeline.operations.alerting.book import open_book
from eth_pipeline.operations.alerting.deadman import known_offset, silence
from eth_pipeline.operations.alerting.delivery import deliver, send_directly, usable_targets
from eth_pipeline.operations.alerting.kinds import Condition, Message
from eth_pipeline.settings import Settings, load_settings

_JUDGED = frozenset({str(AlertKind.SIGNAL_OVERDUE)})


def deadman(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Alert when no signal was recorded for an hour past due, or the lake tells none; exit 1 then.

    Reads the lake, or the log's files where the lake does not answer; asks neither Dagster nor the exchange.
    """
    with refuse_on_error():
        settings = load_settings()
        now = SystemClock().now()
        offset = known_offset(settings) or timedelta(0)
        found = silence(settings, exchange_now=now + offset)
        problem = tell(settings, found, now=now)
    if as_json:
        conditions = [{"subject": condition.subject, "text": condition.text} for condition in found]
        print_json({"checked_at": iso(now), "overdue": bool(found), "conditions": conditions, "problem": problem})
    else:
        for condition in found:
            text = said(body(condition.kind, condition.text), settings.language)
            out.print(text, soft_wrap=True, highlight=False, markup=False)
        words = terminal(settings.language)
        out.print(f"[bold red]{words('overdue')}[/]" if found else f"[green]{words('alive')}[/]")
    if problem is not None:
        err.print(problem, soft_wrap=True, highlight=False, markup=False)
    raise typer.Exit(1 if found or problem is not None else 0)


def tell(settings: Settings, found: Sequence[Condition], *, now: datetime) -> str | None:
    """Note what was found and deliver it; returns why that was not possible, None where it was.

    The grace was the hold-off, so there is none here. Where the book cannot be written (a full or dead disk), the
    conditions are sent at once, and again at every look: loud is better than silent.
    """
    targets, problem = usable_targets(settings.alerts.targets_file)
    try:
        with open_book(settings, targets=len(targets), hold_off=timedelta(0)) as book:
            book.observe(found, now=now, judged=_JUDGED)
            deliver(book, targets, now=now, sender=platform.node(), language=settings.language)
    except (OSError, sqlite3.Error) as error:
        for number, condition in enumerate(found):
            title = f"{condition.kind}: {condition.subject}"
            text = body(condition.kind, condition.text)
            message = Message(number, title, text, condition.severity, target=0, attempts=0)
            send_directly(targets, message, sender=platform.node(), language=settings.language)
        return f"The book of alerts in {settings.home} cannot be written ({error}); what was found was sent without it."
    return problem
