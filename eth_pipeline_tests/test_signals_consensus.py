"""Consensus: closed bars only, weights, coverage, and a snapshot that replays to the same decision."""

import json
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.signal import Action, ConsensusSnapshot, TimeframeScore
from eth_pipeline.settings import SignalSettings
from eth_pipeline.signals.technical.consensus import (
    WEIGHTS,
    build_consensus,
    replay,
    signed_strength,
    timeframe_bars,
    weighted_scores,
)
from eth_pipeline.signals.technical.strategy import score_timeframe
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, score, walk

SETTINGS = SignalSettings()
DAYS = 82
MIDNIGHT = NOON.replace(hour=0)
HISTORY = bars(walk(DAYS * 24 + 24), first=MIDNIGHT - timedelta(days=DAYS))


def _frames(klines: pl.DataFrame, decision_time: object = NOON, base: str = "1h") -> dict[str, pl.DataFrame]:
    return timeframe_bars(klines, symbol="ETHUSDT", base_interval=base, decision_time=decision_time)  # type: ignore[arg-type]  # the tests pass datetimes


def _consensus(klines: pl.DataFrame, decision_time: object = NOON) -> ConsensusSnapshot:
    scores = (score_timeframe(frame, timeframe=name) for name, frame in _frames(klines, decision_time).items())
    return build_consensus(tuple(item for item in scores if item is not None), settings=SETTINGS)


def test_an_hourly_history_gives_every_timeframe_from_one_hour_up() -> None:
    snapshot = _consensus(HISTORY)
    assert [item.timeframe for item in snapshot.scores] == ["1h", "4h", "8h", "24h"]
    assert snapshot.coverage == pytest.approx(71 / 79)


def test_fifteen_minute_history_has_all_six_timeframes() -> None:
    quarter = bars(walk(4 * 24 * 3), first=MIDNIGHT - timedelta(days=2), interval="15m")
    assert list(_frames(quarter, base="15m")) == list(WEIGHTS)


@pytest.mark.parametrize("hour", [0, 1, 3, 4, 7, 8, 12, 23])
def test_bars_that_close_after_the_decision_never_change_the_consensus(hour: int) -> None:
    """The reviewed system looked daily bars up by open time: up to 23 hours of look-ahead."""
    decision_time = MIDNIGHT + hour * HOUR
    known = HISTORY.filter(pl.col("close_time") <= decision_time)
    changed = HISTORY.with_columns(
        pl.when(pl.col("close_time") > decision_time).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    assert _consensus(known, decision_time) == _consensus(HISTORY, decision_time) == _consensus(changed, decision_time)


def test_a_bar_that_became_known_late_does_not_count_yet() -> None:
    late = HISTORY.with_columns(
        available_at=pl.when(pl.col("close_time") == NOON).then(NOON + HOUR).otherwise("available_at")
    )
    assert "1h" not in _frames(late)
    assert "1h" in _frames(HISTORY)


def test_other_symbols_and_intervals_are_ignored() -> None:
    other = bars(walk(50, seed=9), first=MIDNIGHT, symbol="BTCUSDT")
    assert _consensus(pl.concat([HISTORY, other])) == _consensus(HISTORY)


def test_a_timeframe_whose_newest_bar_is_missing_does_not_count() -> None:
    """Indicators of the reviewed system could be 24 hours old."""
    without_last = HISTORY.filter(pl.col("close_time") != NOON)
    assert set(_frames(without_last)) == {"8h", "24h"}
    without_yesterday = HISTORY.filter(pl.col("close_time") != MIDNIGHT)
    assert set(_frames(without_yesterday)) == {"1h", "4h", "8h"}


def test_an_hourly_bar_must_close_exactly_at_the_hour() -> None:
    assert "1h" not in _frames(HISTORY.filter(pl.col("close_time") < NOON))
    with pytest.raises(ValueError, match="no full hour"):
        _frames(HISTORY, NOON + timedelta(minutes=1))


def test_no_bars_at_all_is_a_hold_without_coverage() -> None:
    snapshot = _consensus(HISTORY.head(0))
    assert (snapshot.coverage, snapshot.strength, snapshot.direction) == (0, 0, Action.HOLD)
    assert weighted_scores(snapshot) == (0, 0)


def test_thin_coverage_holds_whatever_the_strength() -> None:
    thin = build_consensus((score("24h", 90.0),), settings=SETTINGS)
    assert (thin.strength, thin.direction) == (100, Action.HOLD)
    enough = build_consensus((score("24h", 90.0), score("8h", 90.0)), settings=SETTINGS)
    assert enough.direction is Action.LONG


def test_agreement_strengthens_and_the_large_tide_halves() -> None:
    agreeing = build_consensus((score("24h", 4), score("8h", 4), score("4h", 4)), settings=SETTINGS)
    assert agreeing.strength == pytest.approx(4 / 25 * 100 * 1.5)
    # one strong small timeframe outvotes three weak large ones: half of the strength, 8/71 of the weight agrees
    opposed = build_consensus((score("24h", -1), score("8h", -1), score("4h", -1), score("1h", 20)), settings=SETTINGS)
    mean = (20 * 8 - 63) / 71
    assert signed_strength(opposed) == pytest.approx(mean / 25 * 100 * (0.5 + 8 / 71) * 0.5)


def test_the_minimum_strength_decides_between_action_and_hold() -> None:
    scores = tuple(score(name, -7.0) for name in WEIGHTS)
    strength = build_consensus(scores, settings=SETTINGS).strength
    assert build_consensus(scores, settings=SignalSettings(min_consensus_strength=strength)).direction is Action.SHORT
    higher = SignalSettings(min_consensus_strength=strength + 0.1)
    assert build_consensus(scores, settings=higher).direction is Action.HOLD


_scores = st.dictionaries(st.sampled_from(list(WEIGHTS)), st.floats(-100, 100), min_size=1).map(
    lambda nets: tuple(score(name, net) for name, net in nets.items())
)


@settings(max_examples=60, deadline=None)
@given(_scores)
def test_a_stored_snapshot_replays_to_the_same_decision(scores: tuple[TimeframeScore, ...]) -> None:
    snapshot = build_consensus(scores, settings=SETTINGS)
    shuffled = json.dumps(json.loads(snapshot.model_dump_json()), sort_keys=True)
    stored = ConsensusSnapshot.model_validate_json(shuffled)
    assert replay(stored) == stored == snapshot
    assert signed_strength(stored) == signed_strength(snapshot)
    assert abs(signed_strength(snapshot)) == snapshot.strength <= 100


@settings(max_examples=60, deadline=None)
@given(_scores)
def test_the_mirrored_market_gives_the_mirrored_consensus(scores: tuple[TimeframeScore, ...]) -> None:
    mirrored = tuple(score(item.timeframe, item.sell_score - item.buy_score) for item in scores)
    ours, theirs = build_consensus(scores, settings=SETTINGS), build_consensus(mirrored, settings=SETTINGS)
    assert signed_strength(ours) == -signed_strength(theirs)


def test_a_snapshot_replays_by_its_own_limits_and_weights_not_by_todays() -> None:
    """Changing a setting must not change what is said about the past."""
    scores = tuple(score(name, 7.0) for name in WEIGHTS)
    strict = build_consensus(scores, settings=SignalSettings(min_consensus_strength=90))
    assert (strict.direction, build_consensus(scores, settings=SETTINGS).direction) == (Action.HOLD, Action.LONG)
    assert replay(strict) == strict
    other = strict.model_copy(update={"weights": {**strict.weights, "15m": 300.0}})
    assert replay(other).strength == strict.strength, "all agree, whatever the weights"
    mixed = (score("15m", 9.0), *(score(name, -3.0) for name in WEIGHTS if name != "15m"))
    heavy = build_consensus(mixed, settings=SETTINGS).model_copy(update={"weights": {**WEIGHTS, "15m": 300.0}})
    assert (signed_strength(replay(heavy)) > 0) is True


def test_a_snapshot_without_its_limits_cannot_be_replayed_and_says_so() -> None:
    snapshot = build_consensus((score("24h", 90.0), score("8h", 90.0)), settings=SETTINGS)
    with pytest.raises(ValueError, match="which limits"):
        replay(snapshot.model_copy(update={"rule": None}))
    empty = ConsensusSnapshot(scores=(), weights=dict(WEIGHTS), coverage=0, strength=0, direction=Action.HOLD)
    assert replay(empty) == empty
    assert signed_strength(empty) == 0
