"""Parsers of both doors: bars, funding, open interest; and the archive's names.

Real quirks of Binance's files, written out as the bytes that carry them.
"""

from datetime import UTC, datetime, timedelta

import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.formats.archive_files import ArchiveFile, ArchiveSeries
from eth_pipeline.exchange.formats.bars import bars_from_api, bars_from_csv
from eth_pipeline.exchange.formats.funding import funding_from_api, funding_from_csv
from eth_pipeline.exchange.formats.metrics import PUBLICATION_DELAY
from eth_pipeline.exchange.formats.open_interest import open_interest_from_api, open_interest_from_csv

QUARTER = timedelta(minutes=15)
DAY = datetime(2025, 3, 1, tzinfo=UTC)
FILE = ArchiveFile("data/x/ETHUSDT-15m-2025-03-01.zip", DAY, DAY + timedelta(days=1))
HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,"
    b"ignore\n"
)
METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
)


def kline_line(open_time: datetime, *, unit_per_ms: int = 1, trades: str = "7") -> bytes:
    start = to_milliseconds(open_time) * unit_per_ms
    end = to_milliseconds(open_time + QUARTER) * unit_per_ms - 1
    return f"{start},10.0,12.0,9.0,11.0,5.5,{end},60.5,{trades},2.5,27.5,0\n".encode()


def metrics(first: datetime, last: datetime) -> bytes:
    lines, label = [METRICS_HEADER], first
    while label <= last:
        lines.append(f"{label:%Y-%m-%d %H:%M:%S},ETHUSDT,{label.hour}.5,1000.0,1,1,1,1\n")
        label += timedelta(minutes=5)
    return "".join(lines).encode()


@pytest.mark.parametrize("header", [b"", HEADER])
def test_kline_files_are_read_with_and_without_their_header(header: bytes) -> None:
    """Futures files carry a header only since about 2022-05."""
    bars = bars_from_csv(header + kline_line(DAY) + kline_line(DAY + QUARTER), FILE, interval=QUARTER)
    assert bars["open_time"].to_list() == [DAY, DAY + QUARTER]
    assert bars["close_time"].to_list() == bars["available_at"].to_list() == [DAY + QUARTER, DAY + 2 * QUARTER]
    assert bars.row(0, named=True)["trades"] == 7


def test_spot_files_in_microseconds_give_the_same_bars() -> None:
    """Spot files switched to microseconds on 2025-01-01; read as milliseconds they lie in the year 57000."""
    in_ms = bars_from_csv(kline_line(DAY), FILE, interval=QUARTER)
    in_us = bars_from_csv(kline_line(DAY, unit_per_ms=1000), FILE, interval=QUARTER)
    assert in_ms.equals(in_us)


def test_a_file_that_mixes_milliseconds_and_microseconds_is_refused() -> None:
    mixed = kline_line(DAY) + kline_line(DAY + QUARTER, unit_per_ms=1000)
    with pytest.raises(ContractViolation, match="1 of 2 timestamps are microseconds"):
        bars_from_csv(mixed, FILE, interval=QUARTER)


def test_absent_csv_fields_are_null_and_never_zero() -> None:
    bars = bars_from_csv(kline_line(DAY, trades=""), FILE, interval=QUARTER)
    assert bars["trades"].to_list() == [None]


def test_a_file_of_another_width_is_refused() -> None:
    with pytest.raises(ContractViolation, match="3 columns instead of 12"):
        bars_from_csv(b"1,2,3\n", FILE, interval=QUARTER)


def test_an_empty_file_has_no_rows() -> None:
    assert bars_from_csv(b"", FILE, interval=QUARTER).height == 0
    assert bars_from_csv(HEADER, FILE, interval=QUARTER).height == 0


def test_rest_bars_equal_archive_bars() -> None:
    start = to_milliseconds(DAY)
    row = [start, "10.0", "12.0", "9.0", "11.0", "5.5", start + 899_999, "60.5", 7, "2.5", "27.5", "0"]
    from_api = bars_from_api([row], interval=QUARTER)
    assert from_api.equals(bars_from_csv(kline_line(DAY), FILE, interval=QUARTER))


def test_absent_rest_fields_are_null_and_an_empty_page_has_no_rows() -> None:
    start = to_milliseconds(DAY)
    row = [start, "10.0", "12.0", "9.0", "11.0", None, start + 899_999, None, None, None, None, None]
    assert bars_from_api([row], interval=QUARTER).row(0, named=True)["volume"] is None
    assert bars_from_api([], interval=QUARTER).height == 0


def test_rest_bars_of_another_shape_are_refused() -> None:
    with pytest.raises(ContractViolation, match="arrays of 12 fields"):
        bars_from_api([[1, "2"]], interval=QUARTER)


def test_funding_instants_are_rounded_to_the_second() -> None:
    """Settlements are published a few milliseconds late; unrounded, the two doors gave two keys for one settlement."""
    late = to_milliseconds(DAY) + 4
    from_api = funding_from_api([{"symbol": "ETHUSDT", "fundingTime": late, "fundingRate": "0.0001"}])
    header = b"calc_time,funding_interval_hours,last_funding_rate\n"
    from_csv = funding_from_csv(header + f"{late},8,0.0001\n".encode(), FILE)
    assert from_api["funding_time"].to_list() == from_csv["funding_time"].to_list() == [DAY]
    assert from_api["available_at"].to_list() == [DAY]
    assert (from_api["interval_hours"].to_list(), from_csv["interval_hours"].to_list()) == ([None], [8])


def test_funding_without_its_fields_is_refused() -> None:
    with pytest.raises(ContractViolation, match="fundingRate"):
        funding_from_api([{"symbol": "ETHUSDT", "fundingTime": 1}])


def test_metrics_labelled_by_period_end_keep_their_labels() -> None:
    rows = open_interest_from_csv(metrics(DAY + timedelta(minutes=5), DAY + timedelta(days=1)), FILE)
    assert rows["period_end"].to_list() == [DAY + timedelta(hours=hour) for hour in range(1, 25)]
    assert (rows["available_at"] - rows["period_end"]).unique().to_list() == [PUBLICATION_DELAY]


def test_metrics_labelled_by_period_start_are_moved_to_the_period_end() -> None:
    """From 2026-06-25 the label is the start: joined as it is, it looks five minutes ahead."""
    rows = open_interest_from_csv(metrics(DAY, DAY + timedelta(hours=23, minutes=55)), FILE)
    assert rows["period_end"].to_list() == [DAY + timedelta(hours=hour) for hour in range(1, 25)]
    assert rows["open_interest"].to_list() == [hour + 0.5 for hour in range(24)]  # the 00:55 snapshot is 01:00's


def test_metrics_whose_labels_fit_neither_convention_are_refused() -> None:
    undecidable = metrics(DAY + timedelta(minutes=5), DAY + timedelta(hours=20))
    with pytest.raises(ContractViolation, match="fits neither"):
        open_interest_from_csv(undecidable, FILE)


def test_rest_open_interest_keeps_full_hours_only() -> None:
    stamps = [DAY, DAY + timedelta(minutes=30), DAY + timedelta(hours=1)]
    payload = [
        {"timestamp": to_milliseconds(t), "sumOpenInterest": "5.0", "sumOpenInterestValue": None} for t in stamps
    ]
    rows = open_interest_from_api(payload)
    assert rows["period_end"].to_list() == [DAY, DAY + timedelta(hours=1)]
    assert rows["open_interest_value"].to_list() == [None, None]


def test_archive_keys_are_those_of_the_public_archive() -> None:
    bars = ArchiveSeries("data/futures/um", "markPriceKlines", "1h", monthly=True, daily=True)
    metrics_series = ArchiveSeries("data/futures/um", "metrics", None, monthly=False, daily=True)
    december = datetime(2024, 12, 31, 23, tzinfo=UTC)
    month = bars.month("ETHUSDT", december)
    assert month.key == "data/futures/um/monthly/markPriceKlines/ETHUSDT/1h/ETHUSDT-1h-2024-12.zip"
    assert (month.start, month.end) == (datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert metrics_series.day("ETHUSDT", december).key == (
        "data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2024-12-31.zip"
    )
