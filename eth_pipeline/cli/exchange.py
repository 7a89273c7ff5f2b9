"""`ingest`, `backfill`, `sandbox fault`: market data by hand.

Belongs here: arguments, progress, the table of results. Does not belong: fetching.
"""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.words import headed
from eth_pipeline.contracts.clock import parse_instant
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.contracts.wording import said
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.settings import load_settings

fault_app = typer.Typer(help="Faults of a running embedded exchange.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Streams = Annotated[list[str] | None, typer.Option("--stream", help="A stream; repeat for several. All by default.")]
Url = Annotated[str, typer.Option(help="Address of the embedded exchange.")]
_LOCAL = "http://127.0.0.1:8900"


def ingest(stream: Streams = None, as_json: AsJson = False) -> None:
    """Bring the streams up to now: fresh local rows, then the archive, then REST."""
    _run(stream, first=None, end=None, as_json=as_json)


def backfill(
    first: Annotated[str, typer.Option("--from", help="First instant, for example 2024-01-01T00:00:00Z.")],
    end: Annotated[str, typer.Option("--to", help="Exclusive end.")],
    stream: Streams = None,
    as_json: AsJson = False,
) -> None:
    """Bring a range of the streams into the lake; repeatable, and safe beside the hourly run."""
    _run(stream, first=first, end=end, as_json=as_json)


@fault_app.command("on")
def fault_on(
    kind: Annotated[str, typer.Argument(help="For example stale, gap, server_error; a wrong one lists them all.")],
    parameters: Annotated[list[str] | None, typer.Argument(help="name=value, as the kind reads them.")] = None,
    url: Url = _LOCAL,
) -> None:
    """Switch a fault on."""
    with refuse_on_error():
        body: dict[str, Any] = {"kind": kind}
        for pair in parameters or []:
            name, separator, value = pair.partition("=")
            if not separator:
                raise SettingsInvalid(f"{pair!r} is no name=value.")
            body[name] = _value(value)
        print_json(_control("POST", url, body))


@fault_app.command("list")
def fault_list(url: Url = _LOCAL) -> None:
    """Show the faults that are on."""
    with refuse_on_error():
        print_json(_control("GET", url))


@fault_app.command("off")
def fault_off(
    number: Annotated[int | None, typer.Argument(help="Number of one fault; all without it.")] = None, url: Url = _LOCAL
) -> None:
    """Switch faults off."""
    with refuse_on_error():
        print_json(_control("DELETE", url, query="" if number is None else f"?number={number}"))


def _run(streams: list[str] | None, *, first: str | None, end: str | None, as_json: bool) -> None:
    with refuse_on_error():
        unknown = sorted(set(streams or ()) - set(STREAMS))
        if unknown:
            raise SettingsInvalid(f"No stream is called {', '.join(unknown)}. Choose from: {', '.join(STREAMS)}.")
        rows = _ingest_all(streams or list(STREAMS), first=first, end=end)
    if as_json:
        print_json(rows)
    else:
        language = load_settings().language
        columns = ("stream", "symbol", "outcome", "inserted", "updated", "missing", "detail")
        table = headed("Ingested", *columns, language=language)
        for row in rows:
            table.add_row(*(escape(said(str(value), language)) for value in row.values()))
        out.print(table)
    if any(row["outcome"] in ("unavailable", "restricted") for row in rows):
        raise typer.Exit(1)


def _ingest_all(streams: list[str], *, first: str | None, end: str | None) -> list[dict[str, object]]:
    from eth_pipeline.defs.resources import Pipeline, exchange_moment
    from eth_pipeline.exchange.backfill import backfill_stream
    from eth_pipeline.exchange.ingest import ingest_stream

    settings, pipeline = load_settings(), Pipeline()
    lake = pipeline.lake()
    found = []
    with pipeline.transport() as transport, _bar() as progress:
        now = exchange_moment(transport).now
        task = progress.add_task("streams", total=len(streams))
        for stream in streams:
            progress.update(task, description=stream)
            if first is None or end is None:
                results = ingest_stream(stream, transport=transport, lake=lake, settings=settings, now=now)
            else:
                span = {"first": _instant(first, "--from"), "end": _instant(end, "--to")}
                results = backfill_stream(stream, transport=transport, lake=lake, settings=settings, now=now, **span)
            progress.advance(task)
            found += [
                {
                    "stream": r.stream,
                    "symbol": r.symbol,
                    "outcome": r.outcome,
                    "inserted": r.inserted,
                    "updated": r.updated,
                    "missing": r.missing_rows,
                    "detail": r.detail,
                }
                for r in results
            ]
    return found


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )


def _instant(text: str, option: str) -> Any:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise SettingsInvalid(f"{option} {text!r}: {error}. Write it like 2024-01-01T00:00:00Z.") from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.split(",") if "," in text else text


def _control(method: str, url: str, body: dict[str, Any] | None = None, *, query: str = "") -> Any:
    import httpx2

    try:
        answer = httpx2.request(method, f"{url}/sandbox/faults{query}", json=body, timeout=10.0)
    except httpx2.HTTPError as error:
        raise NeedsHuman(
            f"No embedded exchange answers at {url}: {error}. Start one: eth-pipeline sandbox serve."
        ) from error
    if not answer.is_success:
        raise SettingsInvalid(f"The embedded exchange refused: {answer.text}")
    return answer.json()
