"""One series takes what the doors hand it, and nothing that was not known yet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.exchange.formats.bars import bars_from_api
from eth_pipeline.exchange.series import Series
from eth_pipeline.exchange.streams import stream_named
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings

NOW = datetime(2025, 3, 10, 12, 7, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
CLOSED, OPEN = datetime(2025, 3, 10, 11, 45, tzinfo=UTC), datetime(2025, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def series(tmp_path: Path) -> Series:
    stream = stream_named("klines", Settings(home=tmp_path))
    return Series(Lake(str(tmp_path)), stream, "ETHUSDT", now=NOW, history_start=CLOSED - QUARTER)


def kline(open_time: datetime) -> list[object]:
    """A bar as the exchange answers it; that it looks closed says nothing."""
    prices = ["100.0", "101.0", "99.0", "100.5", "7.0"]
    return [to_milliseconds(open_time), *prices, to_milliseconds(NOW) - 1, "700.0", 12, "3.0", "300.0", "0"]


def test_a_bar_beyond_what_was_asked_for_is_dropped_while_it_is_open(series: Series) -> None:
    """Requests end at the last closed bar, so an open one comes only from an exchange that ignores the end."""
    answer = bars_from_api([kline(CLOSED), kline(OPEN)], interval=QUARTER)
    series.take(answer, source="api", provenance="simulated")
    assert series.new["open_time"].to_list() == [CLOSED]
    assert series.newest_available_at == OPEN


def test_rows_before_the_history_that_is_wanted_are_dropped(series: Series) -> None:
    answer = bars_from_api([kline(CLOSED - n * QUARTER) for n in (2, 1, 0)], interval=QUARTER)
    series.take(answer, source="archive", provenance="simulated")
    assert series.new["open_time"].to_list() == [CLOSED - QUARTER, CLOSED]
