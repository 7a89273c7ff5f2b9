"""Asset checks of the data plane: is each stream fresh on data time.

Belongs here: the verdict of the gate's own measurement, shown on each stream. Does not belong: blocking. These
checks do not block: a failed blocking check on a stream would skip the verdict and the signal, and the hour would
have no record at all. What blocks is the check on the signal itself, evaluated at the point of use
(docs/adr/0002).
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from eth_pipeline.contracts.signal import StreamFreshness
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.presentation import freshness_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.signals.gating.freshness import measure_freshness

FRESH = "fresh_on_data_time"

_SPECS = [
    dg.AssetCheckSpec(
        FRESH,
        asset=stream,
        description="Newest closed row against exchange time, per symbol, with the limits of the settings.",
    )
    for stream in STREAMS
]


@dg.multi_asset_check(name="stream_freshness", specs=_SPECS, can_subset=True)
def stream_freshness(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> Iterator[dg.AssetCheckResult]:
    """Measure every stream once and report per stream."""
    freshness = measure_freshness(pipeline.lake(), settings=pipeline.settings(), now=pipeline.moment().now)
    for key in context.selected_asset_check_keys:
        rows = [row for row in freshness if row.stream == key.asset_key.to_user_string()]
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=all(row.fresh for row in rows),
            severity=_severity(rows),
            description=_sentence(rows),
            metadata={"freshness": freshness_table(rows)},
        )


def stream_check_results(freshness: Iterable[StreamFreshness]) -> Iterator[dg.AssetCheckEvaluation]:
    """The same verdicts as runless events: what the signal saw at the point of use, per stream."""
    rows = list(freshness)
    for stream in STREAMS:
        mine = [row for row in rows if row.stream == stream]
        if mine:
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(stream),
                check_name=FRESH,
                passed=all(row.fresh for row in mine),
                severity=_severity(mine),
                description=_sentence(mine),
                metadata={"freshness": freshness_table(mine)},
            )


def _severity(rows: Iterable[StreamFreshness]) -> dg.AssetCheckSeverity:
    """ERROR when a stale stream blocks the signal, WARN when it degrades it."""
    blocks = any(not row.fresh and row.stale_policy in ("block", "halt") for row in rows)
    return dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN


def _sentence(rows: Iterable[StreamFreshness]) -> str:
    stale = [row for row in rows if not row.fresh]
    if not stale:
        return "every symbol is within its limit"
    return "; ".join(
        f"{row.stream} {row.symbol} "
        + ("has no rows" if row.lag_hours is None else f"is {row.lag_hours:.2f} h old, limit {row.max_lag_hours:.2f} h")
        for row in stale
    )
