"""Whether the newest record is the signal of now: old figures never pass as current."""

from datetime import timedelta

import pytest

from eth_pipeline.board.reading.standing import Status, duration, stand
from eth_pipeline_tests.decision_samples import HOUR, NOON, sample_settings, signal

SETTINGS = sample_settings()
GRACE = timedelta(minutes=10)
RECORD = signal(SETTINGS, NOON)


@pytest.mark.parametrize(
    ("later", "status", "healthy"),
    [
        (timedelta(seconds=-1), Status.AHEAD, False),
        (timedelta(), Status.CURRENT, True),
        (timedelta(minutes=59, seconds=59), Status.CURRENT, True),
        (HOUR, Status.WAITING, True),
        (HOUR + GRACE - timedelta(seconds=1), Status.WAITING, True),
        (HOUR + GRACE, Status.OVERDUE, False),
        (2 * HOUR, Status.OVERDUE, False),
        (timedelta(days=40), Status.OVERDUE, False),
    ],
)
def test_a_record_is_current_in_its_own_hour_and_at_no_other_time(
    later: timedelta, status: Status, healthy: bool
) -> None:
    standing = stand(RECORD, now=NOON + later, grace=GRACE)
    assert (standing.status, standing.healthy) == (status, healthy)
    assert (standing.signal is RECORD) is (status is Status.CURRENT)
    assert (standing.last_known is RECORD) is (status is not Status.CURRENT)


def test_a_home_without_records_is_absent_and_not_healthy() -> None:
    """The reviewed system's health check was green with nothing there."""
    standing = stand(None, now=NOON, grace=GRACE)
    assert (standing.status, standing.healthy, standing.signal) == (Status.ABSENT, False, None)


def test_the_sentence_of_an_overdue_hour_names_hour_deadline_age_and_command() -> None:
    said = stand(RECORD, now=NOON + timedelta(hours=3, minutes=25), grace=GRACE).statement
    for words in ("2025-03-03T15:00:00Z", "2025-03-03T15:10:00Z", "3 h 25 min", "eth-pipeline health"):
        assert words in said


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=12, seconds=5), "12 min"),
        (timedelta(hours=2, minutes=40), "2 h 40 min"),
        (timedelta(days=3, hours=4, minutes=9), "3 d 4 h"),
    ],
)
def test_a_duration_shows_its_two_largest_parts(span: timedelta, text: str) -> None:
    assert duration(span) == text
