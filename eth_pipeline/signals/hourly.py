"""The record of one hour: decided, missed or failed.

Belongs here: putting verdict, consensus, forecast and origin into one `SignalRecord`. Does not belong: reading
any of them, storing the record (`operations.signal_log`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from eth_pipeline.contracts.clock import HOUR, floor_hour, iso
from eth_pipeline.contracts.signal import (
    ConsensusSnapshot,
    ExpectedReturn,
    Reason,
    ReasonCode,
    SignalRecord,
    SignalState,
    StreamFreshness,
)
from eth_pipeline.contracts.wording.details import NOT_DECIDED
from eth_pipeline.settings import Settings
from eth_pipeline.signals.decision import base_view, combine, forecast_view, hold
from eth_pipeline.signals.forecasting.forecast import Forecast, ModelInfo
from eth_pipeline.signals.gating.gate import MlAvailability, forecast_counts
from eth_pipeline.signals.gating.guards import distrust, no_number, notes
from eth_pipeline.signals.gating.policy import GateVerdict, judge
from eth_pipeline.signals.gating.states import PastHour, with_hysteresis
from eth_pipeline.signals.ml_fields import record_ml
from eth_pipeline.signals.sizing.expected import expected_returns
from eth_pipeline.signals.sizing.funding import FundingOutlook
from eth_pipeline.signals.sizing.position import size_of
from eth_pipeline.signals.technical.consensus import build_consensus, weighted_scores


def decide_hour(
    *,
    settings: Settings,
    decision_time: datetime,
    emitted_at: datetime,
    verdict: GateVerdict,
    freshness: tuple[StreamFreshness, ...],
    snapshot: ConsensusSnapshot,
    ml: MlAvailability,
    forecast: Forecast | None,
    model: ModelInfo | None,
    mark_price: float | None,
    provenance: str,
    run_id: str,
    code_commit: str,
    config_digest: str,
    table_versions: Mapping[str, int],
    held_share: float | None = None,
    funding: FundingOutlook | None = None,
    past: Sequence[PastHour] = (),
    volatility_per_hour: float | None = None,
) -> SignalRecord:
    """Decide one hour.

    A blocked hour is HOLD with size 0: opening is forbidden, closing allowed. A degraded one (paper only) acts on
    what it has. A distrusted forecast takes no part and is a reason of its own, so live is blocked by it. In
    shadow mode the forecast is recorded in the `ml_*` fields and changes nothing else.

    Args:
        settings: phase, symbol, signal and account settings.
        decision_time: the full hour, UTC.
        emitted_at: exchange time of this evaluation.
        verdict: of the gate, for this hour and `settings.phase`.
        freshness: what the gate saw, for the record.
        snapshot: consensus of the bars closed by `decision_time`.
        ml: whether a verified model answered.
        forecast: its answer; None exactly where `ml.available` is false.
        model: the production bundle; also where the forecast failed.
        mark_price: newest mark close, USDT per coin.
        provenance: `binance`, `replay` or `simulated`.
        run_id: the orchestrator's run.
        code_commit: git commit that runs.
        config_digest: `Settings.digest()`.
        table_versions: lake versions that were read.
        held_share: signed share of equity now held, None when flat; lowers the bar for keeping a direction.
        funding: rate and settlements ahead as known at the hour; None where unknown, then none is expected.
        past: recorded hours before this one, newest `states.LOOK_BACK_HOURS`; a reason that ended too recently leaves
            `recovering` behind.
        volatility_per_hour: standard deviation of one-hour log returns over the last day; None where unknown.

    Raises:
        ValueError: `decision_time` is no full hour, or `forecast` and `ml.available` contradict each other.
    """
    if floor_hour(decision_time) != decision_time:
        raise ValueError(f"{decision_time} is no full hour; pass floor_hour(now).")
    if (forecast is None or model is None) == ml.available:
        raise ValueError("`ml.available` must say whether `forecast` and `model` are there; pass the three together.")
    distrusted, counts = None, forecast_counts(settings.signals)
    if forecast and (broken := no_number(forecast)):
        distrusted, forecast, ml = broken, None, MlAvailability(False, ReasonCode.ML_UNAVAILABLE, broken)
    elif forecast:
        distrusted = distrust(forecast, settings=settings.signals)
    if distrusted and counts:
        reason = Reason(code=ReasonCode.ML_UNAVAILABLE, subject="forecast", detail=distrusted)
        verdict = judge((*verdict.reasons, reason), phase=settings.phase)
    verdict = with_hysteresis(verdict, past=past, decision_time=decision_time, phase=settings.phase)
    believed = forecast if not distrusted else None
    expected = _expected(believed, settings, decision_time=decision_time, funding=funding, held_share=held_share)
    view = forecast_view(believed, model.contract, expected=expected) if believed and model and counts else None
    decision = combine(base_view(snapshot, settings=settings.signals), view, settings=settings, held_share=held_share)
    size = size_of(
        decision,
        forecast=believed if view is not None else None,
        expected=expected,
        volatility_per_hour=volatility_per_hour,
        account=settings.account,
    )
    if not verdict.allow_open or size.refusal:
        decision, size = hold(decision), replace(size, share=0.0)
    buy_score, sell_score = weighted_scores(snapshot)
    fields = record_ml(ml=ml, forecast=forecast, model=model, distrusted=distrusted, settings=settings.signals)
    return SignalRecord(
        symbol=settings.symbol,
        phase=settings.phase,
        decision_time=decision_time,
        emitted_at=emitted_at,
        state=verdict.state,
        reasons=verdict.reasons,
        gating_reason=verdict.gating_reason,
        action=decision.action,
        allow_open=verdict.allow_open,
        allow_close=verdict.allow_close,
        position_share=size.share,
        kelly_share=size.kelly_share,
        size_limited_by=size.limited_by,
        size_refusal=size.refusal,
        held_share=held_share,
        decided_by=decision.decided_by,
        decision_score=decision.score,
        buy_score=buy_score,
        sell_score=sell_score,
        consensus_strength=snapshot.strength,
        consensus_direction=snapshot.direction,
        consensus_coverage=snapshot.coverage,
        consensus_snapshot=snapshot,
        freshness=freshness,
        model_version=model.version if model else None,
        ml=fields.model_copy(update={"ml_expected": expected, "ml_notes": notes(forecast) if forecast else ()}),
        mark_price=mark_price,
        provenance=provenance,
        run_id=run_id,
        code_commit=code_commit,
        config_digest=config_digest,
        table_versions=dict(table_versions),
    )


def missed_record(
    *,
    settings: Settings,
    decision_time: datetime,
    emitted_at: datetime,
    provenance: str,
    run_id: str,
    code_commit: str,
    config_digest: str,
    detail: str | None = None,
) -> SignalRecord:
    """The record of an hour that nothing decided in time: blocked, HOLD, `hour_missed`.

    Raises:
        ValueError: the hour is not over yet, so it can still be decided.
    """
    if emitted_at < decision_time + HOUR:
        raise ValueError(f"The hour {iso(decision_time)} is not over at {iso(emitted_at)}: decide it instead.")
    sentence = detail or NOT_DECIDED(end=iso(decision_time + HOUR))
    return _undecided(
        Reason(code=ReasonCode.HOUR_MISSED, subject=iso(decision_time), detail=sentence),
        settings=settings,
        decision_time=decision_time,
        emitted_at=emitted_at,
        origin={"provenance": provenance, "run_id": run_id, "code_commit": code_commit, "config_digest": config_digest},
    )


def failed_record(
    *,
    settings: Settings,
    decision_time: datetime,
    emitted_at: datetime,
    provenance: str,
    run_id: str,
    code_commit: str,
    config_digest: str,
    detail: str,
) -> SignalRecord:
    """The record of an hour whose run failed before it decided: blocked, HOLD, `run_failed`.

    Args:
        detail: which step failed and with what error, in a sentence.
    """
    return _undecided(
        Reason(code=ReasonCode.RUN_FAILED, subject=run_id, detail=detail),
        settings=settings,
        decision_time=decision_time,
        emitted_at=emitted_at,
        origin={"provenance": provenance, "run_id": run_id, "code_commit": code_commit, "config_digest": config_digest},
    )


def _expected(
    believed: Forecast | None,
    settings: Settings,
    *,
    decision_time: datetime,
    funding: FundingOutlook | None,
    held_share: float | None,
) -> tuple[ExpectedReturn, ...]:
    if believed is None:
        return ()
    return expected_returns(
        believed, decision_time=decision_time, funding=funding, account=settings.account, held_share=held_share
    )


def _undecided(
    reason: Reason, *, settings: Settings, decision_time: datetime, emitted_at: datetime, origin: Mapping[str, str]
) -> SignalRecord:
    verdict = judge((reason,), phase=settings.phase)
    assert verdict.state is SignalState.BLOCKED, f"{reason.code} must block in every phase"
    return decide_hour(
        settings=settings,
        decision_time=decision_time,
        emitted_at=emitted_at,
        verdict=verdict,
        freshness=(),
        snapshot=build_consensus((), settings=settings.signals),
        ml=MlAvailability(available=False, code=None, detail=f"not asked: {reason.detail}"),
        forecast=None,
        model=None,
        mark_price=None,
        table_versions={},
        provenance=origin["provenance"],
        run_id=origin["run_id"],
        code_commit=origin["code_commit"],
        config_digest=origin["config_digest"],
    )
