"""Decision plane, outcome: the paper account and the hourly signal.

Belongs here: writing the record through the signal log, failing when it is blocked. Does not belong: rules.

The account is upstream of the signal: at hour T it settles the bar that ended at T with the signals of earlier
hours, stops included, so a blocked signal can never keep a stop from being checked.
"""

import json
from collections.abc import Iterator

import dagster as dg

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, SignalState
from eth_pipeline.contracts.tables import INPUT_STREAMS
from eth_pipeline.defs.assets.signals import GROUP
from eth_pipeline.defs.checks import stream_check_results
from eth_pipeline.defs.emission import emit_days, emit_newest_hour
from eth_pipeline.defs.partitions import DAYS
from eth_pipeline.defs.presentation import (
    OWNERS,
    column_schema,
    figures,
    freshness_table,
    image,
    markdown_table,
    reasons_table,
)
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.operations.lineage import LineageStep, lineage
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.trading.account import advance_account, performance, read_events
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS
from eth_pipeline.trading.performance import report
from eth_pipeline.trading.tear_sheet import tear_sheet

_UPSTREAM = [*INPUT_STREAMS, "features", "consensus", "forecast", "gate_verdict", "paper_account"]
_NOT_BLOCKED = "not_blocked"


@dg.asset(
    group_name=GROUP,
    deps=["klines", "mark_klines", "funding_rates"],
    description=(
        "One row is one event of the paper account: fills at the next open with fee and slippage, funding, stops and "
        "liquidation on mark prices. Replaying the events gives the account."
    ),
    kinds={"deltalake"},
    owners=OWNERS,
    code_version="2",
    metadata=column_schema(ACCOUNT_EVENTS),
)
def paper_account(pipeline: Pipeline) -> dg.MaterializeResult:
    """Settle every closed bar since the last event."""
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    state = advance_account(lake=lake, settings=settings, until=moment.decision_time)
    figures_now = performance(state)
    path = settings.home / "performance.json"
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps(figures_now, indent=2, default=str) + "\n")
    draft.replace(path)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(lake.version(ACCOUNT_EVENTS))),
        metadata={"account": figures(figures_now), "equity_usdt": state.equity_usdt},
    )


@dg.asset(
    group_name=GROUP,
    deps=["paper_account"],
    description=(
        "The paper account as a page: equity, drawdown, monthly table, rolling Sharpe, costs, and every order that a "
        "limit refused. Drawn from the ledger alone; the page is one file."
    ),
    kinds={"matplotlib"},
    owners=OWNERS,
    code_version="1",
)
def account_tear_sheet(pipeline: Pipeline) -> dg.MaterializeResult:
    """Draw the tear sheet of the ledger as it stands."""
    settings, lake = pipeline.settings(), pipeline.lake()
    events = read_events(lake, settings=settings)
    sheet = tear_sheet(events, symbol=settings.symbol, phase=settings.phase, provenance=lake.provenance(ACCOUNT_EVENTS))
    page = settings.home / "reports" / "account.html"
    replace_text(page, sheet.html)
    return dg.MaterializeResult(
        metadata={
            "page": dg.MetadataValue.path(str(page)),
            "events": len(events),
            "performance": figures(dict(report(events).figures)),
            **{name: image(name, content) for name, content in sheet.plots.items()},
        }
    )


@dg.asset(
    group_name=GROUP,
    deps=_UPSTREAM,
    description=(
        "One row is the signal of one full hour: state, reasons, action, size, freshness, model version, consensus "
        "snapshot and every ml_ field. Materializes only when the hour is not blocked; a blocked hour is recorded "
        "as HOLD and fails here, whichever way the run was started."
    ),
    kinds={"deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(SIGNALS),
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=HOUR * 2, warn_window=HOUR * 1.25),
    check_specs=[
        dg.AssetCheckSpec(
            _NOT_BLOCKED,
            asset="hourly_signal",
            blocking=True,
            description="Fails when the gate blocked the hour: stale, absent or unverified input.",
        )
    ],
)
def hourly_signal(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Decide and record the newest hour; record every hour that was missed before it."""
    records = emit_newest_hour(context, pipeline)
    yield from _outcome(context, pipeline, records[-1], recorded=len(records))


@dg.asset(
    group_name=GROUP,
    deps=_UPSTREAM,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    description=(
        "The same signals by day, for backfills: makes sure that every hour of a day has its record. The newest hour "
        "goes through the gate; an older hour without a record was missed and is recorded as blocked."
    ),
    kinds={"deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(SIGNALS),
    check_specs=[
        dg.AssetCheckSpec(
            _NOT_BLOCKED,
            asset="signal_history",
            blocking=True,
            description="Fails when the newest hour of the range is recorded as blocked.",
        )
    ],
)
def signal_history(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Complete the records of the days asked for."""
    window = context.partition_time_window
    records = emit_days(context, pipeline, first=window.start, end=window.end)
    if not records:
        raise dg.Failure(f"{context.partition_key_range}: no hour of this range is over yet. Choose an earlier day.")
    yield from _outcome(context, pipeline, records[-1], recorded=len(records))


def _outcome(
    context: dg.AssetExecutionContext, pipeline: Pipeline, record: SignalRecord, *, recorded: int
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """The check and, only when the hour is not blocked, the materialization."""
    blocked = record.state is SignalState.BLOCKED
    for evaluation in stream_check_results(record.freshness):
        context.instance.report_runless_asset_event(evaluation)
    yield dg.AssetCheckResult(
        check_name=_NOT_BLOCKED,
        passed=not blocked,
        description=record.gating_reason or "every gate passed",
        metadata={"reasons": reasons_table(record.reasons), "freshness": freshness_table(record.freshness)},
    )
    if blocked:
        raise dg.Failure(
            description=(
                f"Signal {iso(record.decision_time)} is BLOCKED: {record.gating_reason}. The hour is recorded as HOLD "
                "with allow_open=false. Cure the stream or wait for the next bar, then materialize again."
            ),
            metadata={"reasons": reasons_table(record.reasons), "freshness": freshness_table(record.freshness)},
            allow_retries=False,
        )
    steps = lineage(record, lake=pipeline.lake(), settings=pipeline.settings())
    yield dg.MaterializeResult(metadata=_signal_metadata(record, recorded=recorded, steps=steps))


def _signal_metadata(
    record: SignalRecord, *, recorded: int, steps: tuple[LineageStep, ...]
) -> dict[str, dg.MetadataValue | str | float | int]:
    return {
        "decision_time": iso(record.decision_time),
        "state": str(record.state),
        "action": str(record.action),
        "position_share": record.position_share,
        "reasons": reasons_table(record.reasons),
        "freshness": freshness_table(record.freshness),
        "model_version": record.model_version or "none",
        "ml": figures({name: value for name, value in record.ml.model_dump(mode="json").items() if value is not None}),
        "code_commit": record.code_commit,
        "config": record.config_digest,
        "table_versions": figures(dict(record.table_versions)),
        "lineage": markdown_table(
            ("step", "fact", "value"),
            [(step.name, name, value) for step in steps for name, value in step.facts.items()],
        ),
        "hours_recorded": recorded,
    }
