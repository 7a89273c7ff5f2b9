"""Hysteresis: a state gets worse at once, and better only after clean hours.

Belongs here: the state of an hour from its own reasons and from the hours before it. Does not belong: how long each
reason lingers (`policy.CLEAN_HOURS`), announcing a change (`transitions`).

A source that fails every other hour would flip the signal every hour. So a lingering reason leaves `recovering`
behind, a reason like any other: it degrades paper and blocks live. The rule reads only what was recorded for earlier
hours, so judging an hour again gives the same state, and a rebuilt history has the states that were lived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord
from eth_pipeline.contracts.wording.details import LAST_SEEN
from eth_pipeline.settings import Phase
from eth_pipeline.signals.gating.policy import CLEAN_HOURS, GateVerdict, judge

LOOK_BACK_HOURS = 24
"""Records older than this say nothing about the state: after a day without a verdict nothing lingers."""
_SAYS_NOTHING = frozenset({ReasonCode.HOUR_MISSED, ReasonCode.RUN_FAILED})


@dataclass(frozen=True)
class PastHour:
    """The reasons recorded for one earlier hour."""

    decision_time: datetime
    codes: frozenset[ReasonCode]

    @classmethod
    def of(cls, record: SignalRecord) -> "PastHour":
        """What `record` says to later hours."""
        return cls(record.decision_time, frozenset(reason.code for reason in record.reasons))

    @property
    def was_judged(self) -> bool:
        """False where nothing looked at the hour: its silence is not cleanness."""
        return not self.codes & _SAYS_NOTHING


def with_hysteresis(
    verdict: GateVerdict, *, past: Sequence[PastHour], decision_time: datetime, phase: Phase
) -> GateVerdict:
    """The verdict with a `recovering` reason for each reason that ended too recently.

    Args:
        verdict: of this hour alone.
        past: recorded hours of the same symbol and phase, in any order, one per hour; the hour itself, later ones and
            those `LOOK_BACK_HOURS` or more ago are ignored.
        decision_time: the full hour, UTC.
        phase: whose policy counts.
    """
    recent = [
        hour
        for hour in past
        if decision_time - LOOK_BACK_HOURS * HOUR < hour.decision_time < decision_time and hour.was_judged
    ]
    newest_first = sorted(recent, key=lambda hour: hour.decision_time, reverse=True)
    present = {reason.code for reason in verdict.reasons}
    lingering = [
        reason
        for code, needed in CLEAN_HOURS.items()
        if code not in present and (reason := _lingering(code, newest_first, needed=needed)) is not None
    ]
    return judge((*verdict.reasons, *lingering), phase=phase) if lingering else verdict


def _lingering(code: ReasonCode, newest_first: Sequence[PastHour], *, needed: int) -> Reason | None:
    """Why this hour is still recovering from `code`; None where it was not seen, or long enough ago."""
    for clean_before, hour in enumerate(newest_first[: needed - 1]):
        if code in hour.codes:
            detail = LAST_SEEN(hour=iso(hour.decision_time), number=clean_before + 1, needed=needed)
            return Reason(code=ReasonCode.RECOVERING, subject=str(code), detail=detail)
    return None
