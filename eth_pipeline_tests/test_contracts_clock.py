"""Instants: UTC only, hours and intervals floor the way the exchange's bars do."""

from datetime import UTC, datetime, timedelta

import pytest

from eth_pipeline.contracts.clock import (
    floor_hour,
    floor_interval,
    from_milliseconds,
    iso,
    parse_instant,
    to_milliseconds,
)

NOON = datetime(2025, 6, 29, 12, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    """The reviewed system compared local times with UTC."""
    with pytest.raises(ValueError, match="no time zone"):
        floor_hour(datetime(2025, 6, 29, 12))


def test_the_hour_that_can_be_decided_is_the_newest_full_one() -> None:
    assert floor_hour(NOON + timedelta(minutes=59, seconds=59)) == NOON
    assert floor_hour(NOON) == NOON


def test_intervals_are_anchored_at_the_epoch() -> None:
    assert floor_interval(NOON + timedelta(minutes=44), timedelta(minutes=15)) == NOON + timedelta(minutes=30)
    assert floor_interval(NOON, timedelta(hours=8)) == NOON.replace(hour=8)


def test_milliseconds_and_text_round_trip() -> None:
    assert from_milliseconds(to_milliseconds(NOON)) == NOON
    assert parse_instant(iso(NOON)) == NOON
    assert iso(parse_instant("2025-06-29T20:00:00+08:00")) == "2025-06-29T12:00:00Z"
