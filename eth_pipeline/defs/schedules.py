"""Schedules: the hourly run and the weekly training.

Belongs here: when. Cron has no seconds: the run starts with the hour and ingestion waits until the exchange clock
says the bar is closed. After downtime a schedule launches one run, whatever was missed; emission fills the hours.
"""

import dagster as dg

from eth_pipeline.defs.jobs import hourly_job, maintenance_job, training_job


@dg.schedule(
    job=hourly_job,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every full hour: ingest, features, forecast, verdict, signal.",
)
def hourly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run per hour; the run key makes a repeated tick harmless."""
    hour = context.scheduled_execution_time.strftime("%Y-%m-%dT%H:00Z")
    return dg.RunRequest(run_key=hour, tags={"eth_pipeline/hour": hour})


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_schedule",
    job=maintenance_job,
    cron_schedule="40 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Daily: gap ledger, replaced archive files, compaction and vacuum, old runs.",
)

training_schedule = dg.ScheduleDefinition(
    name="training_schedule",
    job=training_job,
    cron_schedule="20 3 * * 6",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Weekly retraining; off until an operator switches it on.",
)
