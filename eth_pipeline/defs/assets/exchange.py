"""Data plane: one asset per stream of the exchange, and a companion that moves only when new data arrived.

Belongs here: materializing what `exchange.ingest` stored. Does not belong: fetching or repairing.

A stream asset always materializes, also when the exchange did not answer: skipping it would make Dagster skip
its checks and everything downstream, and the run would end in success (measured, see docs/adr/0002). Whether
the data is fresh is judged on data time, by the checks and by the gate.
"""

from datetime import timedelta

import dagster as dg

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.presentation import OWNERS, column_schema, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.exchange.result import IngestResult

GROUP = "data"
_WINDOWS = {"funding_rates": timedelta(hours=9)}


def newest_key(stream: str) -> dg.AssetKey:
    """Key of the companion that materializes only when a new row of `stream` landed."""
    return dg.AssetKey(f"{stream}_newest_bar")


def _stream_asset(table: TableContract) -> dg.AssetsDefinition:
    @dg.asset(
        name=table.name,
        group_name=GROUP,
        description=f"One row is {table.row_is}. Archive first, REST for the tail, closed rows only.",
        kinds={"deltalake", "binance"},
        owners=OWNERS,
        code_version="1",
        metadata=column_schema(table),
    )
    def stream(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
        settings, lake = pipeline.settings(), pipeline.lake()
        moment = pipeline.moment_for_streams()
        with pipeline.transport() as transport:
            results = ingest_stream(table.name, transport=transport, lake=lake, settings=settings, now=moment.now)
        _report_arrival(context, table.name, results)
        version = lake.version(table)
        newest = results[0].newest_available_at
        return dg.MaterializeResult(
            data_version=dg.DataVersion(str(version)),
            metadata={
                "symbols": result_table(results),
                "inserted": sum(r.inserted for r in results),
                "missing_rows": sum(r.missing_rows for r in results),
                "requests": sum(r.requests for r in results),
                "exchange_time": iso(moment.now),
                **({} if newest is None else {"lag_hours": (moment.now - newest) / HOUR}),
                "lake_version": -1 if version is None else version,
            },
        )

    return stream


def _report_arrival(context: dg.AssetExecutionContext, stream: str, results: tuple[IngestResult, ...]) -> None:
    arrived = [r for r in results if r.inserted and r.newest_available_at is not None]
    if not arrived:
        return
    newest = {r.symbol: iso(r.newest_available_at) for r in arrived if r.newest_available_at is not None}
    context.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=newest_key(stream), metadata={"newest_available_at": newest})
    )


def result_table(results: tuple[IngestResult, ...]) -> dg.MarkdownMetadataValue:
    """What an ingestion did, a line per symbol, with its sentences as notes."""
    saying = {r.detail: [s.symbol for s in results if s.detail == r.detail] for r in results if r.detail}
    return markdown_table(
        ("symbol", "outcome", "inserted", "updated", "missing", "newest known at"),
        [(r.symbol, r.outcome, r.inserted, r.updated, r.missing_rows, r.newest_available_at) for r in results],
        notes=[f"{', '.join(symbols)}: {detail}" for detail, symbols in saying.items()],
    )


def _newest_spec(table: TableContract) -> dg.AssetSpec:
    window = _WINDOWS.get(table.name, timedelta(hours=1))
    return dg.AssetSpec(
        newest_key(table.name),
        deps=[table.name],
        group_name=GROUP,
        description=(
            f"Moves only when a new row of `{table.name}` landed, so its freshness badge follows the data and not "
            "the runs. Materialized by the stream asset; nothing computes it."
        ),
        kinds={"deltalake"},
        owners=OWNERS,
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=window + timedelta(minutes=15), warn_window=window + timedelta(minutes=5)
        ),
    )


stream_assets: list[dg.AssetsDefinition] = [_stream_asset(table) for table in STREAMS.values()]
newest_specs: list[dg.AssetSpec] = [_newest_spec(table) for table in STREAMS.values()]
