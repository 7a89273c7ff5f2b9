"""The archive: real paths, checksums, header and time-unit rules, and what exists when."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import polars as pl
import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

START = datetime(2025, 4, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 15, 12, 20, tzinfo=UTC)
HTTP = httpx2.Client()
FUTURES = "/data/futures/um"
MAY_BARS = f"{FUTURES}/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2025-05.zip"
DAY_BARS = f"{FUTURES}/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2025-06-14.zip"
METRICS = f"{FUTURES}/daily/metrics/ETHUSDT/ETHUSDT-metrics-2025-06-14.zip"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(SyntheticMarket(seed=7, start=START), now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.clock.set(NOW)
    running.faults.clear()
    return running


def fetch(sandbox: Sandbox, path: str) -> httpx2.Response:
    return HTTP.get(sandbox.url + path)


def lines(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        (name,) = bundle.namelist()
        return bundle.read(name).decode().splitlines()


def lines_of(sandbox: Sandbox, path: str) -> list[str]:
    answer = fetch(sandbox, path)
    assert answer.status_code == 200, path
    return lines(answer.content)


def test_a_monthly_file_holds_every_bar_of_its_month_and_matches_its_checksum(sandbox: Sandbox) -> None:
    content = fetch(sandbox, MAY_BARS).content
    digest, name = fetch(sandbox, MAY_BARS + ".CHECKSUM").text.rstrip("\n").split("  ")
    assert digest == hashlib.sha256(content).hexdigest()
    assert name == "ETHUSDT-1h-2025-05.zip"
    header, *rows = lines(content)
    assert header == (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
        "taker_buy_volume,taker_buy_quote_volume,ignore"
    )
    assert len(rows) == 31 * 24
    assert rows[0].split(",")[0] == str(to_milliseconds(datetime(2025, 5, 1, tzinfo=UTC)))


def test_archive_and_rest_agree_bar_for_bar(sandbox: Sandbox) -> None:
    start = to_milliseconds(datetime(2025, 6, 14, tzinfo=UTC))
    params = {"symbol": "ETHUSDT", "interval": "1h", "startTime": start, "limit": 24}
    over_rest = HTTP.get(sandbox.url + "/fapi/v1/klines", params=params).json()
    for line, bar in zip(lines_of(sandbox, DAY_BARS)[1:], over_rest, strict=True):
        assert [float(field) for field in line.split(",")] == pytest.approx([float(field) for field in bar], rel=1e-12)


def test_the_same_rows_give_the_same_bytes(sandbox: Sandbox) -> None:
    with Sandbox(SyntheticMarket(seed=7, start=START), now=NOW + timedelta(days=3)) as other:
        assert fetch(other, MAY_BARS).content == fetch(sandbox, MAY_BARS).content


def test_futures_files_have_a_header_from_may_2022_and_spot_files_never() -> None:
    """A reader that skips the first line of every file loses the first bar of every older month."""
    market = SyntheticMarket(seed=1, start=datetime(2022, 4, 1, tzinfo=UTC))
    with Sandbox(market, now=datetime(2022, 6, 3, tzinfo=UTC)) as sandbox:
        first = {
            (folder, month): lines_of(sandbox, f"/data/{folder}/ETHUSDT/1d/ETHUSDT-1d-2022-{month}.zip")[0]
            for folder in ("futures/um/monthly/klines", "spot/monthly/klines")
            for month in ("04", "05")
        }
    assert [line.startswith("open_time") for line in first.values()] == [False, True, False, False]


def test_spot_times_are_microseconds_from_2025_on() -> None:
    market = SyntheticMarket(seed=1, start=datetime(2024, 12, 1, tzinfo=UTC))
    with Sandbox(market, now=datetime(2025, 2, 3, tzinfo=UTC)) as sandbox:
        for folder, month, digits in (("spot", "2024-12", 13), ("spot", "2025-01", 16), ("futures/um", "2025-01", 13)):
            line = lines_of(sandbox, f"/data/{folder}/monthly/klines/BTCUSDT/4h/BTCUSDT-4h-{month}.zip")[-1].split(",")
            assert (len(line[0]), len(line[6])) == (digits, digits)
            assert int(line[6]) - int(line[0]) == 4 * 3600 * 10 ** (digits - 10) - 1


def test_a_daily_appears_the_next_day_and_a_monthly_a_day_after_its_month(sandbox: Sandbox) -> None:
    june = MAY_BARS.replace("2025-05", "2025-06")
    for path, instant in (
        (DAY_BARS, datetime(2025, 6, 15, tzinfo=UTC)),
        (METRICS, datetime(2025, 6, 15, tzinfo=UTC)),
        (june, datetime(2025, 7, 2, tzinfo=UTC)),
    ):
        sandbox.clock.set(instant - timedelta(milliseconds=1))
        assert fetch(sandbox, path).status_code == 404
        assert fetch(sandbox, path + ".CHECKSUM").status_code == 404
        sandbox.clock.set(instant)
        assert fetch(sandbox, path).status_code == 200


def test_what_never_existed_is_not_found(sandbox: Sandbox) -> None:
    for path in (
        MAY_BARS.replace("2025-05", "2025-03"),
        MAY_BARS.replace("2025-05", "2025-13"),
        MAY_BARS.replace("ETHUSDT", "NOPEUSDT"),
        MAY_BARS.replace("1h", "5m"),
        MAY_BARS.replace("klines", "trades"),
        MAY_BARS.replace("monthly", "daily"),
        METRICS.replace("daily", "monthly"),
    ):
        assert fetch(sandbox, path).status_code == 404, path


def test_head_and_conditional_requests_save_the_download(sandbox: Sandbox) -> None:
    whole = fetch(sandbox, MAY_BARS)
    head = HTTP.head(sandbox.url + MAY_BARS)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Last-Modified"] == whole.headers["Last-Modified"] == "Mon, 02 Jun 2025 00:00:00 GMT"
    again = HTTP.get(sandbox.url + MAY_BARS, headers={"If-None-Match": whole.headers["ETag"]})
    assert again.status_code == 304


def test_mark_premium_and_funding_files_exist_in_their_own_shapes(sandbox: Sandbox) -> None:
    mark = lines_of(sandbox, MAY_BARS.replace("klines", "markPriceKlines"))[1].split(",")
    assert mark[5] == mark[7] == mark[9] == mark[10] == "0"
    assert len(lines_of(sandbox, MAY_BARS.replace("klines", "premiumIndexKlines"))) == 31 * 24 + 1
    funding = lines_of(sandbox, f"{FUTURES}/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2025-05.zip")
    assert funding[0] == "calc_time,funding_interval_hours,last_funding_rate"
    assert len(funding) == 31 * 3 + 1
    assert funding[1].split(",")[1] == "8"


def test_metrics_name_the_end_of_their_five_minutes_until_june_2026_and_the_start_afterwards() -> None:
    """The convention changed on 2026-06-25; a naive join looked 5 minutes ahead from that day on."""
    market = SyntheticMarket(seed=1, start=datetime(2026, 6, 20, tzinfo=UTC), symbols=("ETHUSDT",))
    with Sandbox(market, now=datetime(2026, 6, 28, tzinfo=UTC)) as sandbox:
        ends, starts = (
            lines_of(sandbox, f"{FUTURES}/daily/metrics/ETHUSDT/ETHUSDT-metrics-2026-06-{day}.zip")[1:]
            for day in ("24", "25")
        )
        sandbox.faults.switch_on("label_flip")
        flipped = lines_of(sandbox, f"{FUTURES}/daily/metrics/ETHUSDT/ETHUSDT-metrics-2026-06-24.zip")[1:]
    assert (ends[0][:19], ends[-1][:19]) == ("2026-06-24 00:05:00", "2026-06-25 00:00:00")
    assert (starts[0][:19], starts[-1][:19]) == ("2026-06-25 00:00:00", "2026-06-25 23:55:00")
    assert (flipped[0][:19], flipped[-1][:19]) == ("2026-06-24 00:00:00", "2026-06-24 23:55:00")
    assert [line.split(",")[2] for line in flipped] == [line.split(",")[2] for line in ends]
    snapshots = market.open_interest("ETHUSDT", until=datetime(2026, 6, 28, tzinfo=UTC))
    first = snapshots.filter(pl.col("period_end") == to_milliseconds(datetime(2026, 6, 25, 0, 5, tzinfo=UTC)))
    assert float(starts[0].split(",")[2]) == first["open_interest"][0]


def test_two_years_of_four_symbols_are_served_file_by_file() -> None:
    """History of the demo: about 290 monthly files and their checksums, here one of each shape per year."""
    market = SyntheticMarket(seed=2, start=datetime(2023, 7, 1, tzinfo=UTC))
    with Sandbox(market, now=datetime(2025, 7, 3, tzinfo=UTC)) as sandbox:
        for symbol in market.symbols:
            for folder in ("futures/um/monthly/klines", "futures/um/monthly/markPriceKlines", "spot/monthly/klines"):
                for month in ("2023-07", "2024-02", "2025-06"):
                    path = f"/data/{folder}/{symbol}/15m/{symbol}-15m-{month}.zip"
                    rows = [line for line in lines_of(sandbox, path) if line[0].isdigit()]
                    assert len(rows) in (31 * 96, 30 * 96, 29 * 96)
