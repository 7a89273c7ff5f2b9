"""Data plane, history: months of every stream on demand, and asking the archive again for what it replaced.

Belongs here: backfills by month through Dagster, and the daily recheck. Does not belong: fetching.
"""

import dagster as dg

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.quality import GAP_LEDGER, QUARANTINE
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.assets.exchange import GROUP, result_table
from eth_pipeline.defs.partitions import MONTHS
from eth_pipeline.defs.presentation import OWNERS, column_schema, markdown_table
from eth_pipeline.defs.resources import Pipeline, exchange_moment
from eth_pipeline.exchange.backfill import backfill_stream
from eth_pipeline.exchange.recheck import recheck_archive


@dg.asset(
    group_name=GROUP,
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    description=(
        "One partition is one month of every stream and symbol, for backfills. It fetches only what the lake lacks, "
        "may be repeated, and may run beside the hourly run; both write the same tables."
    ),
    kinds={"deltalake", "binance"},
    owners=OWNERS,
    code_version="1",
)
def market_history(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Bring the months asked for into the lake."""
    settings, lake = pipeline.settings(), pipeline.lake()
    window = context.partition_time_window
    with pipeline.transport() as transport:
        now = exchange_moment(transport).now
        results = {
            stream: backfill_stream(
                stream, first=window.start, end=window.end, transport=transport, lake=lake, settings=settings, now=now
            )
            for stream in STREAMS
        }
    everything = tuple(result for of_stream in results.values() for result in of_stream)
    return dg.MaterializeResult(
        metadata={
            "first": iso(window.start),
            "end": iso(window.end),
            "inserted": sum(result.inserted for result in everything),
            "missing_rows": sum(result.missing_rows for result in everything),
            **{stream: result_table(of_stream) for stream, of_stream in results.items()},
        }
    )


@dg.asset(
    group_name=GROUP,
    deps=list(STREAMS),
    description=(
        "One row is one doubt about the data: a row or file that was missing, late, doubled, refused, revised, "
        "replaced or suspect, with its cause, repair and status. Written by every ingestion; shown here."
    ),
    kinds={"deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(GAP_LEDGER),
)
def gap_ledger(pipeline: Pipeline) -> dg.MaterializeResult:
    """Count the ledger by stream, cause and status."""
    lake = pipeline.lake()
    entries = lake.read(GAP_LEDGER, columns=["stream", "symbol", "cause", "status"])
    counted = entries.group_by("stream", "symbol", "cause", "status").len().sort("len", descending=True)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(lake.version(GAP_LEDGER))),
        metadata={
            "entries": entries.height,
            "open": entries.filter(entries["status"] == "open").height,
            "quarantined": lake.read(QUARANTINE, columns=["stream"]).height,
            "by_cause": markdown_table(("stream", "symbol", "cause", "status", "rows"), counted.rows()),
        },
    )


@dg.asset(
    group_name=GROUP,
    description=(
        "The archive replaces files. This asks again for the checksums of kept files, oldest question first, reads "
        "what was replaced and corrects the rows; the old file is kept."
    ),
    kinds={"binance"},
    owners=OWNERS,
    code_version="1",
)
def archive_recheck(pipeline: Pipeline) -> dg.MaterializeResult:
    """Compare kept files with what the archive publishes now."""
    settings, lake = pipeline.settings(), pipeline.lake()
    with pipeline.transport() as transport:
        now = exchange_moment(transport).now
        found = {
            stream: recheck_archive(stream, transport=transport, lake=lake, settings=settings, now=now)
            for stream in STREAMS
        }
    rows = [(s, r.checked, len(r.replaced), r.updated, r.inserted, r.detail) for s, r in found.items()]
    return dg.MaterializeResult(
        metadata={
            "streams": markdown_table(("stream", "checked", "replaced", "updated", "inserted", "detail"), rows),
            "replaced": sum(len(r.replaced) for r in found.values()),
        }
    )
