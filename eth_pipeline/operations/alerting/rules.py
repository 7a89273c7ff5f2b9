"""When a fact is an alert: one pure function per kind, from evidence to conditions and happenings.

Belongs here: the judgement and the sentence that people read. Does not belong: reading the evidence (`evidence`),
silence of everything (`operations.deadman`), remembering and telling (`book`, `delivery`).

Every sentence says what, since when and what to do; docs/operations.md has a section per kind.
"""

from collections.abc import Sequence

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.signal import Action, ReasonCode, SignalRecord, SignalState
from eth_pipeline.models.drift import DriftReport
from eth_pipeline.operations.alerting.evidence import Disk, ExchangeTrouble, FailedCheck, FailedRun
from eth_pipeline.operations.alerting.kinds import AlertKind, Condition, Happening, Severity
from eth_pipeline.registry.alias import AliasCheck
from eth_pipeline.registry.promotion_log import PromotionEntry
from eth_pipeline.signals.states import PastHour

_STALE = frozenset({ReasonCode.STREAM_STALE, ReasonCode.STREAM_ABSENT})
_TOLD_MOVES = {
    "promoted": "was promoted to production",
    "rolled_back": "was returned to by a rollback",
    "adopted": "was put into production by hand in the registry, and verified",
    "refused": "was refused",
    "abandoned": "was begun to be promoted and given up",
}
_TOLD_MOVES_AT_ONCE = 10
_LONGEST_ERROR = 600
_STATE_SEVERITY: dict[str, Severity] = {
    SignalState.BLOCKED: "failure",
    SignalState.DEGRADED: "warning",
    SignalState.TRADEABLE: "info",
}


def stale_streak(records: Sequence[SignalRecord], *, hours: int) -> tuple[Condition, ...]:
    """The last `hours` decided hours all had a stale or absent stream.

    Args:
        records: oldest first; hours that nobody decided say nothing and are passed over.
        hours: length of the streak; fewer decided hours are no streak.
    """
    streak = _judged(records)[-hours:]
    subjects = [[reason.subject for reason in record.reasons if reason.code in _STALE] for record in streak]
    if len(streak) < hours or not all(subjects):
        return ()
    named = ", ".join(sorted(set(subjects[-1])))
    text = (
        f"Stale data in each of the last {hours} decided hours, now: {named}. The newest is "
        f"{iso(streak[-1].decision_time)}, {streak[-1].state}. See `eth-pipeline health` and the exchange's status."
    )
    return (Condition(AlertKind.STALE_STREAK, _series(streak[-1]), text),)


def ml_silent(records: Sequence[SignalRecord], *, hours: int) -> tuple[Condition, ...]:
    """No model answered in any of the last `hours` decided hours, and one was asked for.

    Args:
        records: oldest first.
        hours: as in `stale_streak`.
    """
    streak = _judged(records)[-hours:]
    if len(streak) < hours or any(record.ml.ml_available or not record.ml.ml_enabled for record in streak):
        return ()
    newest = streak[-1]
    text = (
        f"No model answered in the last {hours} decided hours; signals run on the base strategy. The newest says: "
        f"{newest.ml.ml_reason}. See `eth-pipeline health --verbose` and `eth-pipeline alias --check-only`."
    )
    return (Condition(AlertKind.ML_SILENT, _series(newest), text),)


def always_hold(records: Sequence[SignalRecord], *, hours: int) -> tuple[Condition, ...]:
    """Each of the last `hours` records says HOLD, whatever the reason.

    Args:
        records: oldest first.
        hours: length of the streak.
    """
    streak = records[-hours:]
    if len(streak) < hours or any(record.action is not Action.HOLD for record in streak):
        return ()
    blocked = sum(record.state is SignalState.BLOCKED for record in streak)
    text = (
        f"The last {hours} hours all say HOLD, {blocked} of them because they were blocked. A quiet market is one "
        "explanation; thresholds that nothing reaches or a part that is missing are others. See `eth-pipeline "
        "shadow-report`."
    )
    return (Condition(AlertKind.ALWAYS_HOLD, _series(streak[-1]), text, "warning"),)


def exchange_failing(troubles: Sequence[ExchangeTrouble]) -> tuple[Condition, ...]:
    """One condition per endpoint whose breaker is open, and per host that banned us."""
    return tuple(
        Condition(
            AlertKind.EXCHANGE_FAILING,
            trouble.subject,
            f"{trouble.subject}: {trouble.failures} failures in a row"
            + (f", breaker open since {iso(trouble.since)}" if trouble.since is not None else "")
            + f" ({trouble.reason}). It closes by itself when a probe succeeds; look at the exchange's status and at "
            "this host's network.",
        )
        for trouble in troubles
    )


def state_changed(transitions: pl.DataFrame) -> tuple[Happening, ...]:
    """One happening per alertable row of `TRANSITIONS`; its key is its identity."""
    found = []
    for row in transitions.filter("alertable").sort("decision_time", "step").iter_rows(named=True):
        hour = iso(row["decision_time"])
        identity = f"{row['symbol']} {row['phase']} {hour} {row['step']}"
        why = f": {row['detail']}" if row["detail"] else ""
        text = f"{row['symbol']} {row['phase']} {hour}: {row['from_state'] or 'nothing'} -> {row['to_state']}{why}"
        found.append(Happening(AlertKind.STATE_CHANGED, identity, text, _STATE_SEVERITY[row["to_state"]]))
    return tuple(found)


def run_failed(failures: Sequence[FailedRun]) -> tuple[Happening, ...]:
    """A job that fails every hour at the same step is one alert until it has succeeded again."""
    return tuple(
        Happening(
            AlertKind.RUN_FAILED,
            f"{run.job} {','.join(run.steps) or 'no step'} after {run.last_success or 'the beginning'}",
            f"Run {run.run_id[:8]} of {run.job} failed at {', '.join(run.steps) or 'no step'}: "
            f"{run.error[:_LONGEST_ERROR]} Further failures of the same kind are not told until the job succeeds.",
            "failure",
        )
        for run in failures
    )


def check_failed(checks: Sequence[FailedCheck]) -> tuple[Condition, ...]:
    """One condition per check whose newest evaluation failed."""
    return tuple(
        Condition(
            AlertKind.CHECK_FAILED,
            f"{check.asset} {check.check}",
            f"The check {check.check} of {check.asset} failed: {check.said[:_LONGEST_ERROR] or 'it says nothing more'}",
        )
        for check in checks
    )


def promotion(entries: Sequence[PromotionEntry]) -> tuple[Happening, ...]:
    """The newest entries of the promotion log; each is identified by its own sha256."""
    moves = [entry for entry in entries if entry.action in _TOLD_MOVES][-_TOLD_MOVES_AT_ONCE:]
    return tuple(
        Happening(
            AlertKind.PROMOTION,
            entry.sha256,
            f"Version {entry.version or '(none)'} ({entry.fingerprint[:12]}) {_TOLD_MOVES[entry.action]} at "
            f"{iso(entry.at)}, decision {entry.decision_id}: {entry.reason[:_LONGEST_ERROR]}",
            "info" if entry.action in ("promoted", "refused") else "warning",
        )
        for entry in moves
    )


def alias_moved(check: AliasCheck) -> tuple[Condition, ...]:
    """Registry, promotion log and this host name different models."""
    if check.consistent:
        return ()
    return (Condition(AlertKind.ALIAS_MOVED, "production", " ".join(check.disagreements)),)


def drift(report: DriftReport) -> tuple[Condition, ...]:
    """More features than in 99 of 100 training windows are beyond their own limits."""
    if not report.drifted:
        return ()
    worst = ", ".join(feature.name for feature in report.features[:5])
    text = (
        f"{report.drifted_share:.0%} of the model's inputs drifted over the last {report.rows} hours (limit "
        f"{report.drifted_share_limit:.0%}), the furthest: {worst}. The model may be out of its depth; look at the "
        "shadow report before trusting it, and consider retraining."
    )
    return (Condition(AlertKind.DRIFT, "model inputs", text, "warning"),)


def disk_low(found: Sequence[Disk], *, min_free_bytes: float) -> tuple[Condition, ...]:
    """One condition per disk with too little left."""
    return tuple(
        Condition(
            AlertKind.DISK_LOW,
            str(disk.folder),
            f"{disk.free_bytes / 1e9:.1f} of {disk.total_bytes / 1e9:.0f} GB are left on the disk of {disk.folder}, "
            f"less than {min_free_bytes / 1e9:.1f}. Free space before writes fail.",
        )
        for disk in found
        if disk.free_bytes < min_free_bytes
    )


def rule_broken(kind: AlertKind, error: Exception) -> Condition:
    """The rule of `kind` could not be evaluated: nobody watches this now, which is worth an alert itself."""
    said = str(error).strip().partition("\n")[0][:_LONGEST_ERROR] or "no message"
    text = f"Whether `{kind}` holds cannot be told: {type(error).__name__}: {said}"
    return Condition(AlertKind.RULE_BROKEN, str(kind), text)


def _judged(records: Sequence[SignalRecord]) -> list[SignalRecord]:
    return [record for record in records if PastHour.of(record).was_judged]


def _series(record: SignalRecord) -> str:
    return f"{record.symbol} {record.phase}"
