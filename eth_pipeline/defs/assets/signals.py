"""Decision plane, evidence: the consensus, the forecast and the gate verdict of the newest hour.

Belongs here: reading stored rows, calling one function, storing its answer. Does not belong: any rule.
`gate_verdict` always materializes: every hour has a verdict, also the hours that may not trade.
"""

import dagster as dg

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.tables import INPUT_STREAMS
from eth_pipeline.defs.account_limits import risk_reasons
from eth_pipeline.defs.presentation import (
    OWNERS,
    column_schema,
    figures,
    freshness_table,
    markdown_table,
    reasons_table,
)
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.errors import BundleRefused
from eth_pipeline.signals.evidence import compute_consensus, compute_forecasts, load_evidence
from eth_pipeline.signals.shadow import compute_shadow_forecasts

GROUP = "decision"


@dg.asset(
    group_name=GROUP,
    deps=["klines"],
    description="One row is the multi-timeframe consensus of the base strategy at one full hour, closed bars only.",
    kinds={"polars", "deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(CONSENSUS),
)
def consensus(pipeline: Pipeline) -> dg.MaterializeResult:
    """Score every available timeframe and combine them."""
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    snapshot, rows = compute_consensus(lake, settings=settings, decision_time=moment.decision_time)
    version = lake.upsert(CONSENSUS, rows).version
    scores = [(s.timeframe, iso(s.close_time), s.buy_score, s.sell_score) for s in snapshot.scores]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(version)),
        metadata={
            "decision_time": iso(moment.decision_time),
            "direction": str(snapshot.direction),
            "strength": snapshot.strength,
            "coverage": snapshot.coverage,
            "timeframes": markdown_table(("timeframe", "closed at", "buy", "sell"), scores),
        },
    )


@dg.asset(
    group_name=GROUP,
    deps=["features", "production_bundle"],
    description=(
        "One row is the calibrated probability of up for one horizon at one full hour, from the verified production "
        "bundle. Without a loadable bundle nothing is written and the signal says why."
    ),
    kinds={"onnx", "deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(FORECASTS),
)
def forecast(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Forecast the newest feature row, if a bundle may be loaded."""
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    try:
        rows = compute_forecasts(lake, settings=settings, now=moment.now, decision_time=moment.decision_time)
    except BundleRefused as refusal:
        context.log.warning(f"no forecast: {type(refusal).__name__}: {refusal}")
        return dg.MaterializeResult(metadata={"available": False, "reason": f"{type(refusal).__name__}: {refusal}"})
    version = lake.upsert(FORECASTS, rows).version
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(version)),
        metadata={
            "available": rows.height > 0,
            "decision_time": iso(moment.decision_time),
            "probability_up": figures({f"{h} h": p for h, p in rows.select("horizon_hours", "probability_up").rows()}),
            "model_version": str(rows["model_version"][0]) if rows.height else "none",
        },
    )


@dg.asset(
    group_name=GROUP,
    deps=["features", "production_bundle"],
    description=(
        "One row is what a candidate would have said beside production: recorded, never acting, upstream of nothing. "
        "Empty unless `inference.shadow_enabled` is set and a candidate verifies."
    ),
    kinds={"onnx", "deltalake"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(FORECASTS),
)
def shadow_forecast(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Let the candidate forecast the newest feature row, if there is one."""
    settings, lake, moment = pipeline.settings(), pipeline.lake(), pipeline.moment()
    try:
        rows = compute_shadow_forecasts(lake, settings=settings, now=moment.now, decision_time=moment.decision_time)
    except BundleRefused as refusal:
        context.log.warning(f"no shadow forecast: {type(refusal).__name__}: {refusal}")
        return dg.MaterializeResult(metadata={"rows": 0, "reason": f"{type(refusal).__name__}: {refusal}"})
    if rows.height:
        lake.upsert(FORECASTS, rows)
    return dg.MaterializeResult(metadata={"rows": rows.height, "decision_time": iso(moment.decision_time)})


@dg.asset(
    group_name=GROUP,
    deps=[*INPUT_STREAMS, "features", "consensus", "forecast"],
    description=(
        "The verdict of the newest hour: tradeable, degraded or blocked, with every reason. It always materializes; "
        "the signal evaluates the same gate once more at the point of use."
    ),
    kinds={"python"},
    owners=OWNERS,
    code_version="1",
)
def gate_verdict(pipeline: Pipeline) -> dg.MaterializeResult:
    """Evaluate the gate from stored data and exchange time."""
    settings, moment = pipeline.settings(), pipeline.moment()
    evidence = load_evidence(
        pipeline.lake(),
        settings=settings,
        now=moment.now,
        decision_time=moment.decision_time,
        exchange_reachable=moment.reachable,
        archive_only=moment.archive_only,
        further=risk_reasons(pipeline.lake(), settings, now=moment.decision_time),
    )
    verdict = evidence.verdict
    return dg.MaterializeResult(
        metadata={
            "decision_time": iso(moment.decision_time),
            "state": str(verdict.state),
            "allow_open": verdict.allow_open,
            "reasons": reasons_table(verdict.reasons),
            "freshness": freshness_table(evidence.freshness),
            "exchange": moment.detail,
        }
    )
