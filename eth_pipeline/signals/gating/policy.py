"""Phase policy: what each reason does to a signal, as data.

Belongs here: the table phase x reason -> state, how long a reason lingers, and the verdict of one hour. Does not
belong: finding the reasons (`gate`), lingering (`states`), explaining them (`reason_docs`).

Paper may degrade; live is fail-closed: there is no degraded row in its column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalState
from eth_pipeline.settings import Phase

_BLOCKED = SignalState.BLOCKED
_DEGRADED = SignalState.DEGRADED


def _both_blocked() -> MappingProxyType[Phase, SignalState]:
    return MappingProxyType({"paper": _BLOCKED, "live": _BLOCKED})


def _paper_degrades() -> MappingProxyType[Phase, SignalState]:
    return MappingProxyType({"paper": _DEGRADED, "live": _BLOCKED})


POLICY: MappingProxyType[ReasonCode, MappingProxyType[Phase, SignalState]] = MappingProxyType(
    {
        ReasonCode.STREAM_STALE: _both_blocked(),
        ReasonCode.STREAM_ABSENT: _both_blocked(),
        ReasonCode.SOURCE_DEGRADED: _paper_degrades(),
        ReasonCode.EXCHANGE_UNREACHABLE: _paper_degrades(),
        ReasonCode.ARCHIVE_ONLY: _paper_degrades(),
        ReasonCode.DATA_GAP: _paper_degrades(),
        ReasonCode.FEATURES_MISSING: _both_blocked(),
        ReasonCode.COVERAGE_LOW: _paper_degrades(),
        ReasonCode.CONSENSUS_THIN: _paper_degrades(),
        ReasonCode.ML_UNAVAILABLE: _paper_degrades(),
        ReasonCode.BUNDLE_ABSENT: _paper_degrades(),
        ReasonCode.BUNDLE_REFUSED: _paper_degrades(),
        ReasonCode.BUNDLE_EXPIRED: _paper_degrades(),
        ReasonCode.HOUR_MISSED: _both_blocked(),
        ReasonCode.RUN_FAILED: _both_blocked(),
        ReasonCode.KILL_SWITCH: _both_blocked(),
        ReasonCode.RISK_LIMIT: _both_blocked(),
        ReasonCode.REGISTRY_DOUBTED: _paper_degrades(),
        ReasonCode.RECOVERING: _paper_degrades(),
    }
)
"""What one reason alone makes of a signal; the worst of all reasons counts."""

CLEAN_HOURS: MappingProxyType[ReasonCode, int] = MappingProxyType(
    {
        ReasonCode.STREAM_STALE: 2,
        ReasonCode.SOURCE_DEGRADED: 2,
        ReasonCode.EXCHANGE_UNREACHABLE: 2,
        ReasonCode.FEATURES_MISSING: 2,
        ReasonCode.COVERAGE_LOW: 2,
        ReasonCode.ML_UNAVAILABLE: 3,
    }
)
"""Reasons that come and go: the hour is tradeable again in the n-th hour without them, and `recovering` until then.

The others end at once. They are lifted by a person (`kill_switch`, bundles), have a window of their own (`data_gap`,
`consensus_thin`), or say nothing about the hour after them (`hour_missed`, `run_failed`)."""

_SEVERITY = (SignalState.TRADEABLE, SignalState.DEGRADED, SignalState.BLOCKED)


@dataclass(frozen=True)
class GateVerdict:
    """May this hour's signal act? `gating_reason` holds all reasons in one line, empty when tradeable."""

    state: SignalState
    reasons: tuple[Reason, ...]
    allow_open: bool
    allow_close: bool
    gating_reason: str


def judge(reasons: Sequence[Reason], *, phase: Phase) -> GateVerdict:
    """The worst state among `reasons`; closing a position is always allowed.

    Blocked forbids opening. No reason at all means tradeable.
    """
    states = [POLICY[reason.code][phase] for reason in reasons]
    state = max(states, key=_SEVERITY.index, default=SignalState.TRADEABLE)
    return GateVerdict(
        state=state,
        reasons=tuple(reasons),
        allow_open=state is not SignalState.BLOCKED,
        allow_close=True,
        gating_reason="; ".join(f"{reason.code} {reason.subject}: {reason.detail}" for reason in reasons),
    )
