"""Operations plane: keeping the lake and the Dagster instance small.

Belongs here: maintenance of what is stored. Does not belong: what is stored.
"""

from datetime import timedelta

import dagster as dg

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS, SIGNALS, TRANSITIONS
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS, OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.quality import GAP_LEDGER, QUARANTINE
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.presentation import OWNERS, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.defs.retention import compact_storage, prune_runs
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.labels.direction import labels_contract
from eth_pipeline.operations.log_rotation import rotate_logs
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS
from eth_pipeline.trading.rebuild import REBUILT_EVENTS, REBUILT_SIGNALS
from eth_pipeline.trading.storage import ACCOUNT_SNAPSHOTS

GROUP = "operations"


@dg.asset(
    group_name=GROUP,
    description=(
        "Small files of every lake table merged into large ones, files that no version within the retention needs "
        "removed, and old logs compressed. Versions that a bundle was trained on stay readable for that long."
    ),
    kinds={"deltalake"},
    owners=OWNERS,
    code_version="1",
)
def lake_maintenance(pipeline: Pipeline) -> dg.MaterializeResult:
    """Compact and vacuum every table."""
    settings, lake = pipeline.settings(), pipeline.lake()
    rotated = rotate_logs(settings.home / "logs", now=pipeline.moment().now)
    done = [lake.maintain(table, retention_hours=settings.lake_retention_hours) for table in lake_tables(settings)]
    rows = [(m.table, m.files_before, m.files_after, m.files_removed, m.bytes / 1e6) for m in done if m is not None]
    return dg.MaterializeResult(
        metadata={
            "tables": markdown_table(("table", "files before", "files after", "removed", "MB"), rows),
            "megabytes": sum(row[4] for row in rows),
            "files": sum(row[2] for row in rows),
            "logs_rotated": len(rotated.compressed) + len(rotated.removed) + len(rotated.cut),
        }
    )


@dg.asset(
    group_name=GROUP,
    description=(
        "Runs older than `retention.runs_days` deleted from the Dagster instance with their events and output, and the "
        "space given back. Runs that a promotion names, or that made the newest state of an asset or partition, stay."
    ),
    kinds={"dagster"},
    owners=OWNERS,
    code_version="1",
)
def run_retention(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Delete old runs; a promotion log that cannot be read deletes nothing."""
    settings = pipeline.settings()
    promoted = frozenset(entry.run_id for entry in PromotionLog.of(settings.home).entries())
    before = SystemClock().now() - timedelta(days=settings.retention.runs_days)
    pruned = prune_runs(context.instance, before=before, promoted=promoted)
    compacted = compact_storage(settings.dagster_home / "storage")
    return dg.MaterializeResult(
        metadata={
            "runs_deleted": pruned.deleted,
            "old_runs_kept_for_promotions": pruned.kept_for_promotions,
            "old_runs_kept_for_assets": pruned.kept_for_assets,
            "megabytes_freed": compacted.freed_bytes / 1e6,
            "files_in_use": ", ".join(compacted.busy) or "none",
        }
    )


def lake_tables(settings: Settings) -> tuple[TableContract, ...]:
    """Every table that this system writes."""
    return (
        *STREAMS.values(),
        GAP_LEDGER,
        QUARANTINE,
        features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        labels_contract(horizons_hours=settings.training.horizons_hours),
        OOF_FORECASTS,
        HISTORICAL_FORECASTS,
        TRIED_PNL,
        CONSENSUS,
        FORECASTS,
        SIGNALS,
        TRANSITIONS,
        ACCOUNT_EVENTS,
        ACCOUNT_SNAPSHOTS,
        REBUILT_SIGNALS,
        REBUILT_EVENTS,
    )
