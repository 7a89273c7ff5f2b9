"""The gate of one hour: everything that was observed becomes reasons, the policy makes the verdict.

Belongs here: turning observations into reasons. Does not belong: observing (`freshness`, `registry`), the
policy (`policy`), what an open gate does (`signals.decision`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.quality import DataGap
from eth_pipeline.contracts.signal import Reason, ReasonCode, StreamFreshness
from eth_pipeline.contracts.wording import details
from eth_pipeline.settings import Phase, Settings, SignalSettings
from eth_pipeline.signals.gating.policy import GateVerdict, judge

_NEVER_DO_WITHOUT = ("klines", "mark_klines")
"""Streams of the main symbol that a verdict must have measured, whatever the settings say."""


@dataclass(frozen=True)
class MlAvailability:
    """Did a verified model answer? `code` is the reason where it did not, `detail` a sentence either way."""

    available: bool
    code: ReasonCode | None
    detail: str


def forecast_counts(settings: SignalSettings) -> bool:
    """True where the forecast takes part in the decision: not in shadow mode, not at weight zero."""
    return settings.ml_weight > 0 and not settings.shadow_mode


def evaluate_gate(
    *,
    freshness: tuple[StreamFreshness, ...],
    exchange_reachable: bool,
    features_present: bool,
    feature_coverage: float | None,
    consensus_coverage: float | None,
    ml: MlAvailability,
    settings: Settings,
    phase: Phase,
    kill_switch: str | None,
    archive_only: bool = False,
    gaps: Sequence[DataGap] | None = None,
    further: Sequence[Reason] = (),
) -> GateVerdict:
    """Judge one hour.

    Args:
        freshness: as measured; a main stream that was not measured counts as absent.
        exchange_reachable: the exchange answered in this run.
        features_present: there is a feature row for exactly this hour.
        feature_coverage: share of its values that are not missing; None counts as zero.
        consensus_coverage: share of timeframe weight that had closed bars; None counts as zero.
        ml: whether a verified model answered. In shadow mode its absence is recorded but is no reason, since
            its presence would change nothing.
        settings: limits. The hourly row must reach `gates.min_coverage_core`.
        phase: `paper` or `live`.
        kill_switch: why it is on; None while it is off.
        archive_only: REST refuses this address (an ingestion's outcome was `restricted`), so the exchange counts as
            reachable and its tail as out of reach.
        gaps: what the ledger doubts before this hour (`contracts.quality.data_gaps`); None where it was not asked.
        further: reasons found elsewhere: risk limits of the account, a registry in doubt.
    """
    reasons = list(further)
    if kill_switch is not None:
        reasons.append(Reason(code=ReasonCode.KILL_SWITCH, subject="operator", detail=kill_switch))
    if archive_only:
        reasons.append(Reason(code=ReasonCode.ARCHIVE_ONLY, subject="exchange", detail=details.NO_REST()))
    elif not exchange_reachable:
        reasons.append(Reason(code=ReasonCode.EXCHANGE_UNREACHABLE, subject="exchange", detail=details.NO_ANSWER()))
    reasons += _stream_reasons(freshness, main_symbol=settings.symbol)
    reasons += [_gap_reason(gap) for gap in gaps or ()]
    if features_present:
        reasons += _coverage_reason(feature_coverage or 0.0, floor=settings.gates.min_coverage_core)
    else:
        detail = details.NO_FEATURE_ROW()
        reasons.append(Reason(code=ReasonCode.FEATURES_MISSING, subject="features", detail=detail))
    reasons += _consensus_reason(consensus_coverage or 0.0, floor=settings.signals.min_consensus_coverage)
    if not ml.available and forecast_counts(settings.signals):
        reasons.append(Reason(code=ml.code or ReasonCode.ML_UNAVAILABLE, subject="model", detail=ml.detail))
    return judge(reasons, phase=phase)


def _stream_reasons(freshness: tuple[StreamFreshness, ...], *, main_symbol: str) -> list[Reason]:
    measured = {(item.stream, item.symbol) for item in freshness}
    reasons = [
        Reason(code=ReasonCode.STREAM_ABSENT, subject=f"{stream} {main_symbol}", detail=details.NOT_MEASURED())
        for stream in _NEVER_DO_WITHOUT
        if (stream, main_symbol) not in measured
    ]
    stale = [item for item in freshness if not item.fresh and item.stale_policy != "record"]
    return reasons + [_stream_reason(item) for item in stale]


def _gap_reason(gap: DataGap) -> Reason:
    detail = details.GAP(rows=gap.rows, cause=gap.cause, first=iso(gap.first))
    return Reason(code=ReasonCode.DATA_GAP, subject=f"{gap.stream} {gap.symbol}", detail=detail)


def _stream_reason(item: StreamFreshness) -> Reason:
    if item.stale_policy == "degrade":
        code = ReasonCode.SOURCE_DEGRADED
    else:
        code = ReasonCode.STREAM_ABSENT if item.lag_hours is None else ReasonCode.STREAM_STALE
    if item.lag_hours is None:
        detail = details.NO_ROWS(limit=item.max_lag_hours)
    else:
        detail = details.NEWEST_TOO_OLD(age=item.lag_hours, limit=item.max_lag_hours)
    return Reason(code=code, subject=f"{item.stream} {item.symbol}", detail=detail)


def _coverage_reason(share: float, *, floor: float) -> list[Reason]:
    if share >= floor:
        return []
    detail = details.FEW_FEATURES(share=share, floor=floor)
    return [Reason(code=ReasonCode.COVERAGE_LOW, subject="features", detail=detail)]


def _consensus_reason(share: float, *, floor: float) -> list[Reason]:
    if share >= floor:
        return []
    detail = details.FEW_TIMEFRAMES(share=share, floor=floor)
    return [Reason(code=ReasonCode.CONSENSUS_THIN, subject="consensus", detail=detail)]
