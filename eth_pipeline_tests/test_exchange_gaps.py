"""Holes, the files that hold them, and rows set aside."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import KLINES, OPEN_INTEREST
from eth_pipeline.exchange.doubts.gaps import AbsentRanges, Hole, find_holes, merged, missing_inside
from eth_pipeline.exchange.doubts.instants import Instants, ascending, instant_of, together
from eth_pipeline.exchange.doubts.quarantine import REASON, split
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.exchange.plan import daily_files, whole_files, within
from eth_pipeline.exchange.streams import stream_named
from eth_pipeline.settings import Settings

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


def instants(*hours: int) -> Instants:
    return ascending(pl.Series("t", [START + hour * HOUR for hour in hours], dtype=INSTANT))


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_instants_that_are_stored_and_come_again_count_once(stored: list[int], came: list[int]) -> None:
    """Rows lie in a table in the order of its files, and an overlap is asked for on purpose."""
    more = pl.Series("t", [START + hour * HOUR for hour in came], dtype=INSTANT)
    times = together(instants(*stored), more)
    assert [instant_of(time) for time in times] == [START + hour * HOUR for hour in sorted({*stored, *came})]


@given(st.sets(st.integers(0, 60)), st.integers(0, 60))
def test_rows_and_holes_together_are_every_instant(present: set[int], last: int) -> None:
    """Whatever is missing, at the head, inside or at the tail, is in exactly one hole."""
    holes = find_holes(instants(*present), first=START, last=START + last * HOUR, step=HOUR)
    missing = [hole.first + n * HOUR for hole in holes for n in range(hole.rows)]
    assert missing == [START + hour * HOUR for hour in range(last + 1) if hour not in present]


def test_settlements_of_odd_hours_are_no_holes() -> None:
    """ETH settled every 2 and 4 hours in 2022-11: more rows than every eight hours, none missing."""
    assert missing_inside(instants(0, 8, 12, 14, 16, 24), step=8 * HOUR) == []
    assert missing_inside(instants(0, 8, 24), step=8 * HOUR) == [Hole(START + 16 * HOUR, START + 16 * HOUR, 8 * HOUR)]


def test_near_holes_are_asked_for_with_one_request() -> None:
    near = [Hole(START, START, HOUR), Hole(START + 5 * HOUR, START + 6 * HOUR, HOUR)]
    assert merged(near, nearer_than_rows=10) == [Hole(START, START + 6 * HOUR, HOUR)]
    assert merged(near, nearer_than_rows=2) == near


@pytest.mark.parametrize(
    ("age", "rest"),
    [
        (timedelta(minutes=20), timedelta(minutes=50)),
        (timedelta(hours=23), timedelta(minutes=50)),
        (timedelta(days=1), timedelta(days=1)),
        (timedelta(days=29), timedelta(days=1)),
        (timedelta(days=30), timedelta(days=30)),
    ],
)
def test_a_hole_asked_for_in_vain_rests_the_longer_the_older_it_is(
    tmp_path: Path, age: timedelta, rest: timedelta
) -> None:
    """It rested a whole day at once: a glitch of an hour kept its hole, and with it the signals, for a day."""
    absent = AbsentRanges(HostState(tmp_path / "state.sqlite"), "klines/ETHUSDT/1h")
    hole = Hole(START - HOUR, START, HOUR)
    asked, moment = hole.last + age, timedelta(microseconds=1)
    absent.remember([hole], now=asked)
    assert absent.without([hole], now=asked + rest - moment) == []
    assert absent.without([hole], now=asked + rest) == [hole]


def test_a_hole_that_grew_is_asked_for_again_and_each_rests_by_its_own_age(tmp_path: Path) -> None:
    absent = AbsentRanges(HostState(tmp_path / "state.sqlite"), "klines/ETHUSDT/1h")
    hole, old = Hole(START, START + HOUR, HOUR), Hole(START - timedelta(days=90), START - timedelta(days=89), HOUR)
    now = START + timedelta(days=2)
    absent.remember([hole, old], now=now)
    assert absent.without([hole, old], now=now + 23 * HOUR) == []
    assert absent.without([hole, old], now=now + 25 * HOUR) == [hole]
    assert absent.without([old], now=now + timedelta(days=31)) == [old]
    grown = Hole(START, START + 2 * HOUR, HOUR)
    assert absent.without([grown], now=now) == [grown]


def test_whole_months_come_from_monthly_files_and_open_interest_from_days(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, base_interval="1h")
    now = datetime(2024, 4, 10, 12, tzinfo=UTC)
    all_missing = [Hole(START + timedelta(days=25), now - HOUR, HOUR)]
    months = whole_files(stream_named("klines", settings), "ETHUSDT", all_missing, now=now)
    assert [file.name for file in months] == ["ETHUSDT-1h-2024-02.zip", "ETHUSDT-1h-2024-03.zip"]
    days = whole_files(stream_named("open_interest", settings), "ETHUSDT", all_missing, now=now)
    assert (days[0].name, days[-1].name) == ("ETHUSDT-metrics-2024-01-25.zip", "ETHUSDT-metrics-2024-03-20.zip")


def test_midnight_open_interest_is_in_the_file_of_the_day_before(tmp_path: Path) -> None:
    stream = stream_named("open_interest", Settings(home=tmp_path))
    hole = Hole(START, START, HOUR)
    assert [file.name for file in daily_files(stream, "ETHUSDT", [hole], now=START + timedelta(days=5))] == [
        "ETHUSDT-metrics-2023-12-31.zip"
    ]


def test_holes_are_cut_at_the_borders_of_a_file(tmp_path: Path) -> None:
    stream = stream_named("klines", Settings(home=tmp_path, base_interval="1h"))
    february = stream.archive.month("ETHUSDT", datetime(2024, 2, 1, tzinfo=UTC))
    (inside,) = within([Hole(START, datetime(2024, 6, 1, tzinfo=UTC), HOUR)], february)
    assert (inside.first, inside.rows) == (february.start, 29 * 24)


def test_bad_rows_are_set_aside_with_their_reason() -> None:
    """2022-03-07 had zeros, 2024-10-28 a truncated bar: one bad row must cost one row, not the batch."""
    good = {
        "symbol": "ETHUSDT",
        "interval": "1h",
        "open_time": START,
        "close_time": START + HOUR,
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 1.0,
        "quote_volume": None,
        "trades": None,
        "taker_buy_volume": None,
        "taker_buy_quote_volume": None,
        "available_at": START + HOUR,
        "source": "api",
        "provenance": "simulated",
    }
    half = timedelta(minutes=30)
    rows = [
        good,
        {**good, "close": 13.0},
        {**good, "open": 0.0},
        {**good, "volume": None},
        {**good, "open_time": START + half, "close_time": START + HOUR + half, "available_at": START + HOUR + half},
    ]
    accepted, refused = split(KLINES, pl.DataFrame(rows, schema=KLINES.schema))
    assert accepted.height == 1
    assert refused[REASON].to_list() == [
        "high and low enclose",
        "positive prices",
        "a value is missing",
        "open_time is on the interval's grid",
    ]


def test_one_bad_row_among_complete_ones_is_found() -> None:
    """Pages without a bad row are judged by one question, which must not mean: are all of them bad."""
    origin = {"symbol": "ETHUSDT", "available_at": START + 2 * HOUR, "source": "api", "provenance": "simulated"}
    values = [{"period_end": START + n * HOUR, "open_interest": float(n), **origin} for n in range(3)]
    rows = pl.DataFrame([{**row, "open_interest_value": 1.0} for row in values], schema=OPEN_INTEREST.schema)
    accepted, refused = split(OPEN_INTEREST, rows)
    assert accepted["open_interest"].to_list() == [1.0, 2.0]
    assert refused[REASON].to_list() == ["open interest positive"]
