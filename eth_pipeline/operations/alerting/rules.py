"""When a fact is an alert: one pure function per kind, from evidence to conditions and happenings.

Belongs here: the judgement and the figures of its sentence. Does not belong: the words and what to do
(`contracts.wording.alerts`), reading the evidence (`evidence`), silence of everything (`deadman`),
remembering and telling (`book`, `delivery`).
"""

from collections.abc import Sequence

import polars as pl

from eth_pipeline.contracts.alert import AlertKind, Severity
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.signal import Action, ReasonCode, SignalRecord, SignalState
from eth_pipeline.contracts.wording import alerts as wording
from eth_pipeline.models.drift import DriftReport
from eth_pipeline.operations.alerting.evidence import Disk, ExchangeTrouble, FailedCheck, FailedRun
from eth_pipeline.operations.alerting.kinds import Condition, Happening
from eth_pipeline.registry.promotions.alias import AliasCheck
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry
from eth_pipeline.signals.gating.states import PastHour

_STALE = frozenset({ReasonCode.STREAM_STALE, ReasonCode.STREAM_ABSENT})
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
    text = wording.STALE_STREAK(
        hours=hours, names=named, hour=iso(streak[-1].decision_time), state=str(streak[-1].state)
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
    text = wording.ML_SILENT(hours=hours, why=newest.ml.ml_reason)
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
    text = wording.ALWAYS_HOLD(hours=hours, blocked=blocked)
    return (Condition(AlertKind.ALWAYS_HOLD, _series(streak[-1]), text, "warning"),)


def exchange_failing(troubles: Sequence[ExchangeTrouble]) -> tuple[Condition, ...]:
    """One condition per endpoint whose breaker is open, and per host that banned us."""
    return tuple(Condition(AlertKind.EXCHANGE_FAILING, trouble.subject, _trouble(trouble)) for trouble in troubles)


def state_changed(transitions: pl.DataFrame) -> tuple[Happening, ...]:
    """One happening per alertable row of `TRANSITIONS`; its key is its identity."""
    found = []
    for row in transitions.filter("alertable").sort("decision_time", "step").iter_rows(named=True):
        hour = iso(row["decision_time"])
        identity = f"{row['symbol']} {row['phase']} {hour} {row['step']}"
        facts = {
            "series": f"{row['symbol']} {row['phase']}",
            "hour": hour,
            "before": row["from_state"] or wording.NOTHING_BEFORE(),
            "after": row["to_state"],
        }
        why = row["detail"]
        text = wording.STATE_CHANGED_BY(why=why, **facts) if why else wording.STATE_CHANGED(**facts)
        found.append(Happening(AlertKind.STATE_CHANGED, identity, text, _STATE_SEVERITY[row["to_state"]]))
    return tuple(found)


def run_failed(failures: Sequence[FailedRun]) -> tuple[Happening, ...]:
    """A job that fails every hour at the same step is one alert until it has succeeded again."""
    return tuple(
        Happening(
            AlertKind.RUN_FAILED,
            f"{run.job} {','.join(run.steps) or 'no step'} after {run.last_success or 'the beginning'}",
            wording.RUN_FAILED(
                run=run.run_id[:8],
                job=run.job,
                steps=", ".join(run.steps) or wording.NO_STEP(),
                error=run.error[:_LONGEST_ERROR],
            ),
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
            wording.CHECK_FAILED(
                check=check.check, asset=check.asset, said=check.said[:_LONGEST_ERROR] or wording.SAYS_NO_MORE()
            ),
        )
        for check in checks
    )


def promotion(entries: Sequence[PromotionEntry]) -> tuple[Happening, ...]:
    """The newest entries of the promotion log; each is identified by its own sha256."""
    moves = [entry for entry in entries if entry.action in wording.MOVES][-_TOLD_MOVES_AT_ONCE:]
    return tuple(
        Happening(
            AlertKind.PROMOTION,
            entry.sha256,
            wording.PROMOTION(
                version=entry.version or wording.NO_VERSION(),
                fingerprint=entry.fingerprint[:12],
                moved=wording.MOVES[entry.action](),
                at=iso(entry.at),
                decision=entry.decision_id,
                why=entry.reason[:_LONGEST_ERROR],
            ),
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
    text = wording.DRIFT(share=report.drifted_share, rows=report.rows, limit=report.drifted_share_limit, worst=worst)
    return (Condition(AlertKind.DRIFT, "model inputs", text, "warning"),)


def disk_low(found: Sequence[Disk], *, min_free_bytes: float) -> tuple[Condition, ...]:
    """One condition per disk with too little left."""
    return tuple(
        Condition(
            AlertKind.DISK_LOW,
            str(disk.folder),
            wording.DISK_LOW(
                free=disk.free_bytes / 1e9, total=disk.total_bytes / 1e9, folder=disk.folder, limit=min_free_bytes / 1e9
            ),
        )
        for disk in found
        if disk.free_bytes < min_free_bytes
    )


def rule_broken(kind: AlertKind, error: Exception) -> Condition:
    """The rule of `kind` could not be evaluated: nobody watches this now, which is worth an alert itself."""
    said = str(error).strip().partition("\n")[0][:_LONGEST_ERROR] or wording.NO_MESSAGE()
    text = wording.RULE_BROKEN(kind=kind, error=type(error).__name__, said=said)
    return Condition(AlertKind.RULE_BROKEN, str(kind), text)


def _trouble(trouble: ExchangeTrouble) -> str:
    if trouble.since is None:
        return wording.BANNED(subject=trouble.subject, why=trouble.reason)
    return wording.BREAKER_OPEN(
        subject=trouble.subject, failures=trouble.failures, since=iso(trouble.since), why=trouble.reason
    )


def _judged(records: Sequence[SignalRecord]) -> list[SignalRecord]:
    return [record for record in records if PastHour.of(record).was_judged]


def _series(record: SignalRecord) -> str:
    return f"{record.symbol} {record.phase}"
