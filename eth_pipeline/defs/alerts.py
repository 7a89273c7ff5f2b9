"""The watch inside Dagster: every minute all rules are asked, and what waits is delivered.

Belongs here: what only Dagster knows (failed runs, failed checks), and the sensor. Does not belong: rules, the queue
(`operations.alerting`), noticing that Dagster itself is dead (`eth-pipeline deadman`, from outside).

Failed runs and checks are asked for at every tick instead of being waited for: there is no cursor to lose, and a
daemon that was down finds what failed meanwhile. What was told is known by its identity, in the book.
"""

from datetime import datetime, timedelta

import dagster as dg
from dagster import AssetCheckKey, DagsterEventType, DagsterInstance, RunRecord

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.operations.alerting import rules
from eth_pipeline.operations.alerting.evidence import FailedCheck, FailedRun, is_blocked_on_purpose
from eth_pipeline.operations.alerting.watch import home_questions, watch
from eth_pipeline.settings import load_settings

_RUNS_WITHIN = timedelta(days=1)
_MOST_RUNS = 50
_NOT_BLOCKED = "not_blocked"


@dg.sensor(
    name="alert_sensor",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks every alert rule, notes what is wrong and what happened, and delivers what waits. Starts no run.",
)
def alert_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One round; a target that is down, or a rule that breaks, fails no tick."""
    settings, now, instance = load_settings(), SystemClock().now(), context.instance
    questions = home_questions(settings, now=now)
    questions[AlertKind.RUN_FAILED] = lambda: rules.run_failed(failed_runs(instance, since=now - _RUNS_WITHIN))
    if (definitions := context.repository_def) is not None:
        checks = sorted(definitions.asset_graph.asset_check_keys, key=str)
        questions[AlertKind.CHECK_FAILED] = lambda: rules.check_failed(failed_checks(instance, checks))
    told = watch(settings, questions, now=now)
    if told.problem is not None:
        context.log.error(told.problem)
    return dg.SkipReason(f"{told.delivered} messages delivered, {told.refused} not taken, {told.waiting} wait")


def failed_runs(instance: DagsterInstance, *, since: datetime) -> tuple[FailedRun, ...]:
    """Runs that failed since then, oldest first; not those that failed because their hour is blocked."""
    failed = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since), limit=_MOST_RUNS
    )
    found = [_failed_run(instance, record) for record in reversed(failed)]
    return tuple(run for run in found if run is not None)


def failed_checks(instance: DagsterInstance, keys: list[AssetCheckKey]) -> tuple[FailedCheck, ...]:
    """Checks of severity ERROR whose newest evaluation failed; a blocked hour is told by its change of state."""
    found = []
    for key in keys:
        record = None if key.name == _NOT_BLOCKED else instance.get_latest_asset_check_evaluation_record(key)
        event = record.event.dagster_event if record is not None and record.event is not None else None
        if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
            found.append(FailedCheck(key.asset_key.to_user_string(), key.name, evaluation.description or ""))
    return tuple(found)


def _failed_run(instance: DagsterInstance, record: RunRecord) -> FailedRun | None:
    run = record.dagster_run
    steps: list[tuple[str, bool]] = []
    errors = []
    for stored in instance.get_records_for_run(run.run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        event = stored.event_log_entry.get_dagster_event()
        failure = event.step_failure_data
        own = failure.user_failure_data
        steps.append((str(event.step_key), own is not None))
        errors.append(str(own.description if own is not None else failure.error_display_string))
    if is_blocked_on_purpose(steps):
        return None
    before = dg.RunsFilter(
        job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS], created_before=record.create_timestamp
    )
    good = instance.get_run_records(before, limit=1)
    return FailedRun(
        job=run.job_name,
        run_id=run.run_id,
        steps=tuple(sorted(name for name, _ in steps)),
        last_success=good[0].dagster_run.run_id if good else None,
        error=errors[0] if errors else _why_without_step(instance, run.run_id),
    )


def _why_without_step(instance: DagsterInstance, run_id: str) -> str:
    """What a run says that died without a failed step: its host was gone, or never began it."""
    causes, ends = [], []
    for stored in instance.get_records_for_run(
        run_id, of_type={DagsterEventType.ENGINE_EVENT, DagsterEventType.RUN_FAILURE}
    ).records:
        event = stored.event_log_entry.get_dagster_event()
        if event.event_type is DagsterEventType.RUN_FAILURE:
            ends.append(event.message or "")
        elif event.engine_event_data.error is not None:
            causes.append(event.engine_event_data.error.message)
    return " ".join(" ".join([*ends, *causes]).split()) or "it gave no message"
