"""Decision plane, looking back: signals and account of past months, rebuilt from vintages.

Belongs here: the range of months, storing, the tear sheet. Does not belong: the rebuild (`trading.rebuild`).
"""

import dagster as dg

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.defs.assets.signals import GROUP
from eth_pipeline.defs.partitions import MONTHS
from eth_pipeline.defs.presentation import OWNERS, column_schema, figures, image, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.models.algorithms import LIGHTGBM
from eth_pipeline.operations.manifest import code_version, table_versions
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.trading.ledger import frame_from_events
from eth_pipeline.trading.performance import report
from eth_pipeline.trading.rebuild import REBUILT_EVENTS, REBUILT_SIGNALS, read_span, rebuild
from eth_pipeline.trading.tear_sheet import tear_sheet


@dg.asset(
    group_name=GROUP,
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["klines", "mark_klines", "funding_rates", "features", "historical_forecasts"],
    description=(
        "One row is what would have been signalled at one past hour by the vintage that could have existed then. A "
        "range of months is one account that begins empty at the first of them, with its own ledger and tear sheet."
    ),
    kinds={"polars", "deltalake"},
    owners=OWNERS,
    code_version="2",
    metadata=column_schema(REBUILT_SIGNALS),
)
def rebuilt_history(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Rebuild the months asked for as one account."""
    settings, lake = pipeline.settings(), pipeline.lake()
    window = context.partition_time_window
    commit = code_version().commit
    span = read_span(lake, settings=settings, first=window.start, end=window.end, algorithm=LIGHTGBM, commit=commit)
    features = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    rebuilt = rebuild(
        span,
        settings=settings,
        run_id=context.run.run_id,
        code_commit=commit,
        config_digest=settings.digest(),
        table_versions=table_versions(lake, (KLINES, MARK_KLINES, features, HISTORICAL_FORECASTS)),
    )
    version = lake.upsert(REBUILT_SIGNALS, rebuilt.signals).version
    origin = {"symbol": settings.symbol, "phase": settings.phase, "provenance": span.provenance}
    lake.replace(REBUILT_EVENTS, frame_from_events(rebuilt.book.events, **origin))
    sheet = tear_sheet(rebuilt.book.events, **origin)
    page = settings.home / "reports" / f"rebuilt-{window.start:%Y-%m}-{window.end:%Y-%m}.html"
    replace_text(page, sheet.html)
    states = rebuilt.signals.group_by("state").len().sort("state").rows()
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(version)),
        metadata={
            "first": iso(span.hours[0]),
            "last": iso(span.hours[-1]),
            "hours": rebuilt.signals.height,
            "forecast_hours": len(span.inputs.forecasts),
            "forecast_hours_without_quantiles": span.unsized,
            "states": markdown_table(("state", "hours"), states),
            "performance": figures(dict(report(rebuilt.book.events).figures)),
            "tear_sheet": dg.MetadataValue.path(str(page)),
            **{name: image(name, content) for name, content in sheet.plots.items()},
        },
    )
