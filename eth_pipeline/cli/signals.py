"""`eth-pipeline signals`: what was signalled, from the table that the hourly run writes.

Belongs here: reading and showing. Does not belong: deciding.
"""

from typing import Annotated

import polars as pl
import typer

from eth_pipeline.cli.console import out, print_json, refuse_on_error
from eth_pipeline.cli.tables import lineage_table, signal_table, signals_table
from eth_pipeline.contracts.clock import parse_instant
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, record_from_json
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings, load_settings

app = typer.Typer(help="The signals that were recorded.", no_args_is_help=True)
Hour = Annotated[str, typer.Argument(help="The full hour, for example 2025-06-29T12:00:00Z, or `newest`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def tail(
    count: Annotated[int, typer.Option("-n", min=1, help="How many hours.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Show the newest hours, oldest first."""
    with refuse_on_error():
        settings = load_settings()
        records = _records(settings)[-count:]
        if as_json:
            print_json([record.flat() for record in records])
        else:
            out.print(signals_table(records, language=settings.language))


@app.command()
def show(
    hour: Hour = "newest",
    as_json: AsJson = False,
) -> None:
    """Show one hour with every field."""
    with refuse_on_error():
        settings = load_settings()
        record = _asked(settings, hour)
        if as_json:
            print_json(record.flat())
        else:
            out.print(signal_table(record, language=settings.language))


@app.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the lines of the signal log."""
    from eth_pipeline.operations.signal_line import stored_schema

    print_json(stored_schema())


@app.command("lineage")
def show_lineage(
    hour: Hour = "newest",
    as_json: AsJson = False,
) -> None:
    """Walk one hour back to its forecast, features, bars, model, promotion, code and run."""
    with refuse_on_error():
        from eth_pipeline.operations.lineage import lineage

        settings = load_settings()
        record = _asked(settings, hour)
        steps = lineage(record, lake=Lake.of(settings), settings=settings)
        if as_json:
            print_json({step.name: step.facts for step in steps})
        else:
            out.print(lineage_table(record, steps, language=settings.language))


def newest_record(settings: Settings) -> SignalRecord:
    """The newest hour's record.

    Raises:
        NeedsHuman: nothing was recorded yet.
    """
    return _records(settings)[-1]


def _asked(settings: Settings, hour: str) -> SignalRecord:
    return newest_record(settings) if hour == "newest" else _record_of(settings, hour)


def _record_of(settings: Settings, hour: str) -> SignalRecord:
    try:
        wanted = parse_instant(hour)
    except ValueError as error:
        raise NeedsHuman(f"{hour!r}: {error}. Write it like 2025-06-29T12:00:00Z.") from error
    for record in _records(settings):
        if record.decision_time == wanted:
            return record
    raise NeedsHuman(f"No record of {hour} in phase {settings.phase}. `eth-pipeline signals tail` lists what there is.")


def _records(settings: Settings) -> list[SignalRecord]:
    ours = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    rows = Lake.of(settings).read(SIGNALS, where=ours).sort("decision_time")
    if not rows.height:
        raise NeedsHuman(
            f"No signal of phase {settings.phase} is recorded in {settings.lake_location}. "
            "Run the hourly job, or name the home with ETH_PIPELINE_HOME."
        )
    return [record_from_json(text) for text in rows["record"]]
