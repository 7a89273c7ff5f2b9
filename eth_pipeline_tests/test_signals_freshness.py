"""Freshness: lag on data time, limits at their edge, nothing silent."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.signal import StreamFreshness
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    RECORDED_STREAMS,
    SPOT_KLINES,
)
from eth_pipeline.lake import Lake
from eth_pipeline.signals.gating.freshness import measure_freshness
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, open_interest, sample_settings, walk

SETTINGS = sample_settings()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Every stream is there up to noon; funding of 08:00."""
    lake = Lake(str(tmp_path / "lake"))
    for symbol in SETTINGS.symbols:
        for table in (KLINES, MARK_KLINES, SPOT_KLINES):
            lake.upsert(table, bars(walk(30), first=NOON - 30 * HOUR, table=table, symbol=symbol))
        lake.upsert(FUNDING_RATES, funding({NOON - 4 * HOUR: 0.0001}, symbol=symbol))
    lake.upsert(OPEN_INTEREST, open_interest(NOON - timedelta(minutes=5)))
    return lake


def _one(lake: Lake, now: datetime, stream: str = "klines", symbol: str = "ETHUSDT") -> StreamFreshness:
    measured = measure_freshness(lake, settings=SETTINGS, now=now)
    (found,) = [item for item in measured if (item.stream, item.symbol) == (stream, symbol)]
    return found


def test_every_expected_stream_is_measured_and_open_interest_only_of_the_main_symbol(lake: Lake) -> None:
    measured = measure_freshness(lake, settings=SETTINGS, now=NOON)
    assert len(measured) == 5 * 2 + 2
    for stream in ("open_interest", "positioning"):
        assert [item.symbol for item in measured if item.stream == stream] == ["ETHUSDT"]
    assert {item.stream for item in measured if not item.fresh} == set(RECORDED_STREAMS)
    assert {item.stale_policy for item in measured if not item.fresh} == {"record"}


@pytest.mark.parametrize(("minutes", "fresh"), [(0, True), (1, True), (59, True), (60, False), (61, False)])
def test_a_lag_that_reaches_its_limit_is_stale(lake: Lake, minutes: int, fresh: bool) -> None:
    """The main limit is one hour: a bar that closed 59 minutes ago is the newest there can be."""
    found = _one(lake, NOON + timedelta(minutes=minutes))
    assert (found.fresh, found.lag_hours) == (fresh, pytest.approx(minutes / 60))


def test_a_stale_stream_of_days_is_found_with_its_true_lag(lake: Lake) -> None:
    """The reviewed system served bars of 77.8 hours; they lie outside the window that is read first."""
    found = _one(lake, NOON + timedelta(hours=77.8))
    assert (found.fresh, found.lag_hours, found.freshness_source) == (False, pytest.approx(77.8), "api")


@pytest.mark.parametrize("hours", [20, 1_200])
def test_of_a_stream_that_stopped_the_newest_row_known_by_now_counts_however_long_its_history(
    tmp_path: Path, hours: int
) -> None:
    """Long histories are searched another way than short ones; each symbol's newest row is what counts in both."""
    lake, stopped = Lake(str(tmp_path / "lake")), {"ETHUSDT": 3, "BTCUSDT": 5}
    for symbol, days in stopped.items():
        last = NOON - timedelta(days=days)
        lake.upsert(KLINES, bars(walk(hours), first=last - hours * HOUR, symbol=symbol))
        published_late = bars(walk(1), first=last, symbol=symbol)
        lake.upsert(KLINES, published_late.with_columns(available_at=pl.lit(NOON + HOUR, INSTANT)))
    assert {symbol: _one(lake, NOON, symbol=symbol).lag_hours for symbol in stopped} == {
        symbol: 24 * days for symbol, days in stopped.items()
    }


def test_the_lag_is_counted_from_settlement_and_period_end(lake: Lake) -> None:
    assert _one(lake, NOON, "funding_rates").lag_hours == 4
    assert _one(lake, NOON, "open_interest").lag_hours == pytest.approx(5 / 60)
    assert not _one(lake, NOON + 5 * HOUR, "funding_rates").fresh


def test_a_row_that_was_published_late_is_as_old_as_what_it_tells(tmp_path: Path) -> None:
    """Counted from its publication, a snapshot of three hours ago would look a minute old."""
    lake, published = Lake(str(tmp_path / "late")), NOON - timedelta(minutes=1)
    lake.upsert(OPEN_INTEREST, open_interest(NOON - 3 * HOUR).with_columns(available_at=pl.lit(published, INSTANT)))
    found = _one(lake, NOON, "open_interest")
    assert (found.lag_hours, found.newest_available_at) == (3, published)


def test_an_absent_stream_is_not_fresh_and_has_no_lag(tmp_path: Path) -> None:
    found = _one(Lake(str(tmp_path / "empty")), NOON)
    assert (found.fresh, found.lag_hours, found.newest_available_at, found.freshness_source) == (
        False,
        None,
        None,
        None,
    )


def test_rows_not_known_yet_do_not_count(lake: Lake) -> None:
    found = _one(lake, NOON - 10 * HOUR)
    assert (found.lag_hours, found.newest_available_at) == (0, NOON - 10 * HOUR)


def test_bars_of_another_interval_do_not_make_a_stream_fresh(lake: Lake) -> None:
    lake.upsert(KLINES, bars(walk(8), first=NOON, interval="15m"))
    assert _one(lake, NOON + 2 * HOUR).lag_hours == 2


def test_cross_symbols_have_their_own_limits(lake: Lake) -> None:
    main, cross = (_one(lake, NOON + 1.5 * HOUR, "mark_klines", symbol) for symbol in SETTINGS.symbols)
    assert (main.fresh, main.stale_policy) == (False, "block")
    assert (cross.fresh, cross.stale_policy) == (True, "degrade")
