"""One hour's record: what acts, what holds, and that shadow mode changes nothing."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.signal import Action, Reason, ReasonCode, SignalState, record_from_json
from eth_pipeline.settings import Phase, SignalSettings
from eth_pipeline.signals.decision import KEEP_SHARE, combine
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import POLICY, judge
from eth_pipeline.signals.gating.states import PastHour
from eth_pipeline.signals.hourly import failed_record, missed_record
from eth_pipeline.signals.sizing.funding import FundingOutlook
from eth_pipeline.signals.technical.consensus import build_consensus
from eth_pipeline_tests.decision_samples import (
    HOUR,
    MODEL,
    NOON,
    ORIGIN,
    forecast,
    sample_settings,
    score,
    signal,
)

SETTINGS = sample_settings()
SHADOW = sample_settings(signals=SignalSettings(shadow_mode=True))
ANSWERED = MlAvailability(True, None, "version 7 answered")
UP, DOWN, UNSURE = forecast(0.6, 0.6, 0.6), forecast(0.4, 0.4, 0.4), forecast(0.5, 0.5, 0.5)
STRONG, WEAK = 60.0, 2.0


def _with(answer: Any, **changes: Any) -> dict[str, Any]:
    return {"ml": ANSWERED, "forecast": answer, "model": MODEL, **changes}


@pytest.mark.parametrize(
    ("net", "answer", "action"),
    [
        (STRONG, UP, Action.LONG),
        (-STRONG, DOWN, Action.SHORT),
        (STRONG, DOWN, Action.SHORT),
        (WEAK, UP, Action.LONG),
        (WEAK, UNSURE, Action.HOLD),
        (WEAK, forecast(0.6, 0.5, 0.5), Action.HOLD),
        (-STRONG, forecast(0.5, 0.5, 0.44), Action.HOLD),
        (-STRONG, UNSURE, Action.HOLD),
    ],
)
def test_a_believed_forecast_decides_the_direction_alone(net: float, answer: Any, action: Action) -> None:
    """Half the vote once belonged to a base strategy whose sign AUC on recorded history is below one half."""
    record = signal(SETTINGS, net=net, **_with(answer))
    assert (record.action, record.decided_by) == (action, "forecast")


def test_the_base_strategy_scales_the_size_of_a_forecast_down_to_its_weight() -> None:
    agrees, neutral, opposes = (signal(SETTINGS, net=net, **_with(UP)).position_share for net in (STRONG, 0, -STRONG))
    assert (agrees, neutral, opposes) == pytest.approx((0.2, 0.15, 0.1))
    alone = sample_settings(signals=SignalSettings(ml_weight=1.0))
    assert {signal(alone, net=net, **_with(UP)).position_share for net in (STRONG, 0, -STRONG)} == {0.2}


def test_a_probability_at_its_threshold_does_not_vote() -> None:
    assert signal(SETTINGS, net=WEAK, **_with(forecast(0.55, 0.55, 0.55))).ml.ml_direction is Action.HOLD
    assert signal(SETTINGS, net=WEAK, **_with(forecast(0.551, 0.551, 0.551))).ml.ml_direction is Action.LONG


def test_the_size_grows_with_the_score_up_to_the_largest_share() -> None:
    full, less = signal(SETTINGS, net=STRONG), signal(SETTINGS, net=12.0)
    assert full.position_share == SETTINGS.account.max_single_share
    assert less.position_share == pytest.approx(0.2 * less.consensus_strength / 100)
    assert signal(SETTINGS, net=WEAK).position_share == 0


@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("code", ReasonCode)
def test_a_blocked_hour_holds_and_a_degraded_one_may_act(code: ReasonCode, phase: Phase) -> None:
    settings = sample_settings(phase=phase)
    verdict = judge([Reason(code=code, subject="x", detail="y")], phase=phase)
    record = signal(settings, verdict=verdict)
    assert record.state is POLICY[code][phase]
    if record.state is SignalState.BLOCKED:
        assert (record.action, record.position_share, record.allow_open) == (Action.HOLD, 0, False)
    else:
        assert (record.action, record.allow_open) == (Action.LONG, True)
    assert record.allow_close
    assert code.value in record.gating_reason


@pytest.mark.parametrize("net", [STRONG, WEAK, -STRONG])
@pytest.mark.parametrize("answer", [UP, DOWN, UNSURE, forecast(0.99, 0.5, 0.5)])
def test_shadow_mode_changes_nothing_but_the_ml_fields(net: float, answer: Any) -> None:
    """Shadow mode of the reviewed system changed the size."""
    silent = signal(SHADOW, net=net)
    shadowed = signal(SHADOW, net=net, **_with(answer))
    assert shadowed.ml.ml_shadow
    assert shadowed.ml.ml_prob_up_5h == answer.probabilities[5]
    ignored = {"ml", "model_version"}
    assert shadowed.model_dump(exclude=ignored) == silent.model_dump(exclude=ignored)
    base_alone = sample_settings(signals=SignalSettings(ml_weight=0.0))
    assert shadowed.model_dump(exclude=ignored) == signal(base_alone, net=net).model_dump(exclude=ignored)


@pytest.mark.parametrize(
    "answer",
    [forecast(0.985, 0.5, 0.5), forecast(0.5, 0.5, 0.01), forecast(0.6, 0.6, 0.6, out_of_bounds_share=0.3)],
)
def test_a_forecast_too_good_to_believe_takes_no_part_and_degrades(answer: Any) -> None:
    record = signal(SETTINGS, **_with(answer))
    assert record.action is signal(SETTINGS).action
    assert (record.state, record.reasons[-1].code) == (SignalState.DEGRADED, ReasonCode.ML_UNAVAILABLE)
    assert not record.ml.ml_available
    assert record.ml.ml_prob_up_24h == answer.probabilities[24]
    live = signal(sample_settings(phase="live"), **_with(answer))
    assert (live.state, live.action) == (SignalState.BLOCKED, Action.HOLD)


def test_an_extreme_probability_at_the_edge_is_still_believed() -> None:
    assert signal(SETTINGS, **_with(forecast(0.98, 0.98, 0.98))).ml.ml_available


def test_a_held_direction_is_kept_at_half_the_strength() -> None:
    weak = 0.4 * KEEP_SHARE + 0.01
    assert combine(weak, None, settings=SETTINGS, held_share=None).action is Action.HOLD
    assert combine(weak, None, settings=SETTINGS, held_share=0.1).action is Action.LONG
    assert combine(weak, None, settings=SETTINGS, held_share=-0.1).action is Action.HOLD
    assert combine(0.4 * KEEP_SHARE - 0.01, None, settings=SETTINGS, held_share=0.1).action is Action.HOLD


def test_a_thin_consensus_has_no_say() -> None:
    thin = build_consensus((score("24h", 90.0),), settings=SETTINGS.signals)
    record = signal(SETTINGS, snapshot=thin)
    assert (record.action, record.consensus_strength) == (Action.HOLD, 100)


def test_every_ml_field_is_recorded_and_a_missing_model_says_why() -> None:
    """No ml field reached any of the reviewed system's last 100 signals."""
    record = signal(SETTINGS, **_with(forecast(0.61, 0.52, 0.43)))
    assert (record.ml.ml_prob_up_5h, record.ml.ml_prob_up_12h, record.ml.ml_prob_up_24h) == (0.61, 0.52, 0.43)
    assert (record.ml.ml_lgb_prob, record.ml.ml_version, record.ml.ml_fingerprint) == (0.61, "7", "f1nger")
    assert (record.ml.ml_direction, record.ml.ml_confidence) == (Action.HOLD, 0)
    assert record.model_version == "7"
    without = signal(SETTINGS, ml=MlAvailability(False, ReasonCode.BUNDLE_ABSENT, "no bundle was promoted"))
    assert (without.ml.ml_available, without.ml.ml_error) == (False, "no bundle was promoted")
    assert {name for name in record.flat() if name.startswith("ml_")} == set(type(record.ml).model_fields)


def test_availability_and_forecast_must_not_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="three together"):
        signal(SETTINGS, ml=ANSWERED)
    with pytest.raises(ValueError, match="three together"):
        signal(SETTINGS, forecast=UP, model=MODEL)


def test_only_full_hours_are_decided() -> None:
    with pytest.raises(ValueError, match="full hour"):
        signal(SETTINGS, NOON + timedelta(seconds=1))


def test_a_record_survives_its_own_text() -> None:
    record = signal(SETTINGS, held_share=0.1, **_with(UP))
    assert record_from_json(json.dumps(record.flat())) == record


@pytest.mark.parametrize("phase", get_args(Phase))
def test_missed_and_failed_hours_are_blocked_records(phase: Phase) -> None:
    settings = sample_settings(phase=phase)
    missed = missed_record(settings=settings, decision_time=NOON, emitted_at=NOON + HOUR, **ORIGIN)
    failed = failed_record(settings=settings, decision_time=NOON, emitted_at=NOON, detail="features: boom", **ORIGIN)
    for record, code in ((missed, ReasonCode.HOUR_MISSED), (failed, ReasonCode.RUN_FAILED)):
        assert [reason.code for reason in record.reasons] == [code]
        assert (record.state, record.action, record.position_share) == (SignalState.BLOCKED, Action.HOLD, 0)
        assert (record.allow_open, record.allow_close, record.phase) == (False, True, phase)


def test_an_hour_that_is_not_over_was_not_missed() -> None:
    with pytest.raises(ValueError, match="not over"):
        missed_record(settings=SETTINGS, decision_time=NOON, emitted_at=NOON + HOUR - timedelta(seconds=1), **ORIGIN)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_is_no_forecast_and_can_be_recorded(broken: float) -> None:
    """A NaN passes every comparison; in the log it would have failed the hour."""
    answer = replace(UP, quantiles={5: {0.1: broken, 0.9: 0.01}})
    record = signal(SETTINGS, **_with(answer))
    assert (record.state, record.reasons[-1].code) == (SignalState.DEGRADED, ReasonCode.ML_UNAVAILABLE)
    assert (record.decided_by, record.ml.ml_available, record.ml.ml_prob_up_5h) == ("base", False, None)
    assert "no number" in str(record.ml.ml_error)
    json.dumps(record.flat(), allow_nan=False)


_numbers = st.floats(allow_nan=True, allow_infinity=True)
_answers = st.builds(
    lambda ps, qs, regime, out: replace(
        forecast(*ps, out_of_bounds_share=out),
        quantiles={5: dict(zip((0.05, 0.5, 0.95), qs, strict=True))} if qs else {},
        regime={"calm": 1 - regime, "stressed": regime},
    ),
    st.tuples(*[st.one_of(st.floats(0, 1), _numbers)] * 3),
    st.one_of(st.none(), st.tuples(*[st.one_of(st.floats(-0.1, 0.1), _numbers)] * 3)),
    st.floats(0, 1),
    st.floats(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(_answers, st.sampled_from([STRONG, WEAK, -STRONG]), st.sampled_from([None, 0.1, -0.1]), st.booleans())
def test_in_shadow_mode_no_forecast_whatever_changes_anything_but_the_ml_fields(
    answer: Any, net: float, held: float | None, is_live: bool
) -> None:
    shadow = sample_settings(signals=SignalSettings(shadow_mode=True), phase="live" if is_live else "paper")
    outlook = FundingOutlook(rate=0.001, next_settlement=NOON + HOUR, interval_hours=8)
    silent = signal(shadow, net=net, held_share=held)
    shadowed = signal(shadow, net=net, held_share=held, funding=outlook, **_with(answer))
    ignored = {"ml", "model_version"}
    assert shadowed.model_dump(exclude=ignored) == silent.model_dump(exclude=ignored)


@settings(max_examples=150, deadline=None)
@given(_answers, st.sampled_from([STRONG, WEAK, -STRONG]), st.sampled_from([None, 0.1, -0.1]))
def test_every_forecast_gives_a_record_that_can_be_written_and_a_size_within_the_cap(
    answer: Any, net: float, held: float | None
) -> None:
    record = signal(SETTINGS, net=net, held_share=held, **_with(answer))
    assert record_from_json(json.dumps(record.flat(), allow_nan=False)) == record
    assert 0 <= record.position_share <= SETTINGS.account.max_single_share
    assert (record.position_share > 0) == (record.action is not Action.HOLD)
    if not record.ml.ml_available:
        base_alone = signal(SETTINGS, net=net, held_share=held)
        assert (record.action, record.position_share) == (base_alone.action, base_alone.position_share)


def test_a_stressed_market_is_noted_and_changes_nothing_else() -> None:
    calm, stressed = (replace(UP, regime={"calm": 1 - p, "stressed": p}) for p in (0.2, 0.8))
    noted, plain = signal(SETTINGS, **_with(stressed)), signal(SETTINGS, **_with(calm))
    assert (noted.ml.ml_notes, plain.ml.ml_notes) == (("regime stressed with probability 0.80",), ())
    assert noted.model_dump(exclude={"ml"}) == plain.model_dump(exclude={"ml"})


def test_a_horizon_that_does_not_pay_its_costs_has_no_vote() -> None:
    far, near = {0.05: -0.02, 0.5: 0.004, 0.95: 0.03}, {0.05: -0.003, 0.5: 0.0001, 0.95: 0.003}
    pays = replace(UP, quantiles={5: far, 12: far, 24: far})
    costs_more = replace(UP, quantiles={5: near, 12: near, 24: far})
    assert signal(SETTINGS, **_with(pays)).action is Action.LONG
    record = signal(SETTINGS, **_with(costs_more))
    assert (record.action, record.decision_score) == (Action.HOLD, pytest.approx(1 / 3))
    assert [item.net_bps > 0 for item in record.ml.ml_expected] == [False, False, True]
    kept = signal(SETTINGS, held_share=0.1, **_with(costs_more))
    assert kept.action is Action.LONG, "the position that is held has paid its entry"


def test_funding_ahead_is_charged_to_the_side_that_pays_it() -> None:
    levels = {0.05: -0.02, 0.5: 0.001, 0.95: 0.022}
    up, down = replace(UP, quantiles={5: levels, 12: levels}), replace(DOWN, quantiles={5: levels, 12: levels})
    dear = FundingOutlook(rate=0.003, next_settlement=NOON + 4 * HOUR, interval_hours=8)
    charged = signal(SETTINGS, funding=dear, **_with(up)).ml.ml_expected
    paid = signal(SETTINGS, funding=dear, **_with(down)).ml.ml_expected
    unknown = signal(SETTINGS, **_with(up)).ml.ml_expected
    assert [item.funding_bps for item in charged] == pytest.approx([30, 60])
    assert [item.funding_bps for item in paid] == pytest.approx([-30, -60])
    assert [item.funding_bps for item in unknown] == [None, None]
    assert unknown[1].net_bps - charged[1].net_bps == pytest.approx(60)


def test_an_hour_recovers_before_it_is_tradeable() -> None:
    past = [PastHour(NOON - HOUR, frozenset({ReasonCode.STREAM_STALE}))]
    paper, live = signal(SETTINGS, past=past), signal(sample_settings(phase="live"), past=past)
    assert [reason.code for reason in paper.reasons] == [ReasonCode.RECOVERING]
    assert (paper.state, paper.action) == (SignalState.DEGRADED, Action.LONG)
    assert (live.state, live.action, live.allow_close) == (SignalState.BLOCKED, Action.HOLD, True)


def test_a_horizon_that_no_probability_can_move_has_no_vote_and_does_not_dilute_the_others() -> None:
    """Where no past tail paid, the promotion writes thresholds beyond 0 and 1; one such horizon of three would have
    silenced the other two.
    """
    five, twelve, day = MODEL.contract.models
    never = five.model_copy(update={"long_threshold": 1.01, "short_threshold": -0.01})
    silent = replace(MODEL, contract=MODEL.contract.model_copy(update={"models": (never, twelve, day)}))
    one_of_two = forecast(0.5, 0.6, 0.5)
    assert signal(SETTINGS, net=WEAK, **_with(one_of_two)).decision_score == pytest.approx(1 / 3)
    record = signal(SETTINGS, net=WEAK, **_with(one_of_two, model=silent))
    assert (record.decision_score, record.action) == (0.5, Action.LONG)
    mute = replace(MODEL, contract=MODEL.contract.model_copy(update={"models": (never,)}))
    assert signal(SETTINGS, net=STRONG, **_with(UP, model=mute)).action is Action.HOLD
