"""Failure semantics of runs: which of Dagster's three retry mechanisms may act, and the record of a dead run.

Retries: none of the three acts on the hourly path. Op retries and run retries are off (`dagster/max_retries` 0),
no automation condition watches failures. A request is retried inside `exchange.http.transport` only, within its
budget; the next chance of a failed hour is the next hour, or a click.
"""

from datetime import UTC, datetime

import dagster as dg

from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.defs.emission import emit_failed_hour
from eth_pipeline.defs.jobs import hourly_job
from eth_pipeline.defs.resources import Pipeline


@dg.run_failure_sensor(
    monitored_jobs=[hourly_job],
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes a blocked record (run_failed) for an hourly run that died before its signal was recorded.",
)
def failed_hour_sensor(context: dg.RunFailureSensorContext) -> None:
    """A run that fails without a record leaves one behind all the same."""
    error = context.failure_event.message or "the run failed and gave no message"
    run_id = context.dagster_run.run_id
    stored = context.instance.get_run_record_by_id(run_id)
    began = stored.start_time if stored else None  # None: it died before it started
    started_at = datetime.fromtimestamp(began, UTC) if began else SystemClock().now()
    record = emit_failed_hour(Pipeline(), run_id=run_id, started_at=started_at, error=error)
    context.log.info("recorded run_failed" if record else "the hour already has its record")
