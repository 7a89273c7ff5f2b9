"""Changes of state: each alertable one is announced exactly once, whatever is replayed, re-emitted or missed."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord, SignalState
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.gating.transitions import new_transitions
from eth_pipeline.signals.hourly import missed_record
from eth_pipeline_tests.decision_samples import HOUR, NOON, ORIGIN, sample_settings, signal

SETTINGS = sample_settings()
NOTHING = TRANSITIONS.empty()
CODE = {"degraded": ReasonCode.DATA_GAP, "blocked": ReasonCode.STREAM_STALE}


def _record(hour: int, state: str, *, minute: int = 0) -> SignalRecord:
    reasons = [Reason(code=CODE[state], subject="x", detail="y")] if state in CODE else []
    time = NOON + hour * HOUR
    verdict = judge(reasons, phase="paper")
    return signal(SETTINGS, time, verdict=verdict, emitted_at=time + minute * HOUR / 60)


def _missed(hour: int) -> SignalRecord:
    time = NOON + hour * HOUR
    return missed_record(settings=SETTINGS, decision_time=time, emitted_at=time + 5 * HOUR, **ORIGIN)


def _changes(rows: pl.DataFrame) -> list[tuple[int, str | None, str]]:
    """Hour after noon, from, to."""
    wanted = rows.select("decision_time", "from_state", "to_state").rows()
    return [(int((time - NOON) / HOUR), before, after) for time, before, after in wanted]


def test_only_changes_are_rows_and_a_good_beginning_is_no_news() -> None:
    rows = new_transitions(
        [_record(n, s) for n, s in enumerate(["tradeable", "tradeable", "blocked", "blocked"])], known=NOTHING
    )
    assert _changes(rows) == [(0, None, "tradeable"), (2, "tradeable", "blocked")]
    assert rows["alertable"].to_list() == [False, True]
    assert rows["reasons"].to_list() == ["", "stream_stale"]
    assert new_transitions([_record(0, "blocked")], known=NOTHING)["alertable"].to_list() == [True]


def test_the_way_back_is_announced_too() -> None:
    rows = new_transitions([_record(0, "blocked"), _record(1, "degraded"), _record(2, "tradeable")], known=NOTHING)
    assert _changes(rows)[1:] == [(1, "blocked", "degraded"), (2, "degraded", "tradeable")]
    assert rows["alertable"].all()


def test_asking_again_adds_nothing() -> None:
    records = [_record(n, s) for n, s in enumerate(["degraded", "blocked", "tradeable"])]
    known = new_transitions(records, known=NOTHING)
    for part in (records, records[1:], records[:1], list(reversed(records))):
        assert new_transitions(part, known=known).is_empty()


def test_a_blocked_hour_that_is_decided_again_within_the_hour_has_two_rows() -> None:
    """An operator was told of the block; without the second row nobody would say that it is over."""
    known = new_transitions([_record(0, "tradeable"), _record(1, "blocked")], known=NOTHING)
    again = new_transitions([_record(1, "tradeable", minute=20)], known=known)
    assert _changes(again) == [(1, "blocked", "tradeable")]
    assert (again["step"].to_list(), again["alertable"].to_list()) == ([1], [True])
    everything = TRANSITIONS.conform(pl.concat([known, again]))
    assert new_transitions([_record(0, "tradeable"), _record(1, "tradeable", minute=20)], known=everything).is_empty()


def test_missed_hours_that_are_filled_in_before_the_next_decision_are_one_change() -> None:
    known = new_transitions([_record(0, "tradeable")], known=NOTHING)
    rows = new_transitions([_missed(1), _missed(2), _missed(3), _record(4, "tradeable")], known=known)
    assert _changes(rows) == [(1, "tradeable", "blocked"), (4, "blocked", "tradeable")]
    assert rows["alertable"].all()


def test_an_hour_filled_in_behind_a_newer_announcement_is_recorded_and_is_no_news() -> None:
    known = new_transitions([_record(0, "tradeable"), _record(2, "blocked")], known=NOTHING)
    late = new_transitions([_missed(1)], known=known)
    assert _changes(late) == [(1, "tradeable", "blocked")]
    assert not late["alertable"].any()
    assert new_transitions([_missed(1), _record(2, "blocked")], known=pl.concat([known, late])).is_empty()


def test_phases_and_symbols_are_not_mixed() -> None:
    other = signal(sample_settings(phase="live"), NOON + HOUR)
    with pytest.raises(ValueError, match="mixed"):
        new_transitions([_record(0, "tradeable"), other], known=NOTHING)
    with pytest.raises(ValueError, match="share an hour"):
        new_transitions([_record(0, "tradeable"), _record(0, "blocked")], known=NOTHING)


_states = st.sampled_from([str(state) for state in SignalState])
_emissions = st.lists(st.tuples(_states, st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12)


@settings(max_examples=120, deadline=None)
@given(_emissions)
def test_over_any_course_of_things_each_change_is_announced_exactly_once(course: list[tuple[str, int, int]]) -> None:
    """A course: per step the state decided, how many hours passed before it (0 decides the hour again, above 1 some
    were missed and are filled in first), and how often the emission is repeated.
    """
    known, hour, standing = NOTHING, 0, dict[datetime, SignalRecord]()
    lived: list[str] = []
    for step, (state, passed, repeats) in enumerate(course):
        filled = [_missed(n) for n in range(hour + 1, hour + passed)]
        hour += passed
        emitted = [*filled, _record(hour, state, minute=step)]
        lived += [str(record.state) for record in emitted]
        for _ in range(repeats + 1):
            standing |= {record.decision_time: record for record in emitted}
            known = pl.concat([known, new_transitions(emitted, known=known)])
        known = pl.concat([known, new_transitions(list(standing.values()), known=known)])
    TRANSITIONS.conform(known)
    changes = [after for before, after in zip([None, *lived], lived, strict=False) if before != after]
    announced = known.sort("decision_time", "step")
    assert announced["to_state"].to_list() == changes
    assert announced["from_state"].to_list() == [None, *changes[:-1]]
    assert announced["alertable"].sum() == len(changes) - (changes[0] == "tradeable")
