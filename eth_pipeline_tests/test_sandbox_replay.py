"""The replayed market: recordings served as they were, with what they lack left missing."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import polars as pl
import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.replay import ReplayMarket
from eth_pipeline.sandbox.server import Sandbox

HTTP = httpx2.Client()
FIRST = datetime(2025, 5, 30, tzinfo=UTC)
HOURS = 24 * 4
NOW = datetime(2025, 6, 2, 12, 0, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few days in the layout of a recording, with a hole in spot and an unknown snapshot."""
    folder = tmp_path_factory.mktemp("recording")
    hours = [FIRST + timedelta(hours=i) for i in range(HOURS)]
    price = [2500.0 + i for i in range(HOURS)]
    ohlc = {
        "open": price,
        "high": [p + 2 for p in price],
        "low": [p - 1 for p in price],
        "close": [p + 1 for p in price],
    }
    times = pl.Series("open_time", hours, dtype=pl.Datetime("ms", "UTC"))
    bars = pl.DataFrame({"open_time": times, **ohlc, "volume": [10.0] * HOURS})
    bars.write_parquet(folder / "klines_ETHUSDT_1h.parquet")
    bars.drop("volume").write_parquet(folder / "mark_ETHUSDT_1h.parquet")
    known = {"quote_volume": 25_000.0, "trades": 100.0, "taker_buy_base": 6.0, "taker_buy_quote": 15_000.0}
    present = pl.int_range(pl.len()) < 30
    spot = bars.with_columns(*[pl.when(present).then(value).alias(name) for name, value in known.items()])
    spot.filter(pl.col("open_time") != hours[5]).write_parquet(folder / "klines_spot_ETHUSDT_1h.parquet")
    settled = times.gather(range(0, HOURS, 8))
    pl.DataFrame({"open_time": settled, "funding_rate": [0.0001] * len(settled)}).write_parquet(
        folder / "funding_ETHUSDT.parquet"
    )
    levels = [float("nan") if i == 3 else 1_000.0 + i for i in range(len(settled))]
    pl.DataFrame({"open_time": settled, "open_interest": levels}).write_parquet(folder / "oi_ETHUSDT_8h.parquet")
    return folder


@pytest.fixture(scope="module")
def sandbox(recording: Path) -> Iterator[Sandbox]:
    with Sandbox(ReplayMarket(recording), now=NOW) as running:
        yield running


def ask(sandbox: Sandbox, path: str, **params: object) -> httpx2.Response:
    return HTTP.get(
        sandbox.url + path, params={"symbol": "ETHUSDT", **{key: str(value) for key, value in params.items()}}
    )


def archive_lines(sandbox: Sandbox, path: str) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(ask(sandbox, path).content)) as bundle:
        return bundle.read(bundle.namelist()[0]).decode().splitlines()


def test_answers_are_labelled_replay(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/fapi/v1/time").headers["X-Sandbox-Provenance"] == "replay"


def test_fields_that_were_not_recorded_are_null_in_rest_and_empty_in_files(sandbox: Sandbox) -> None:
    """A zero in place of a missing volume is a feature value; a null is not."""
    closed = ask(sandbox, "/fapi/v1/klines", interval="1h", limit=2).json()[0]
    assert closed[7:11] == [None, None, None, None]
    assert closed[5] == "10.000"
    line = archive_lines(sandbox, "/data/futures/um/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2025-05-30.zip")[1].split(",")
    assert line[7:11] == ["", "", "", ""]
    spot = archive_lines(sandbox, "/data/spot/daily/klines/ETHUSDT/1h/ETHUSDT-1h-2025-05-30.zip")
    assert spot[0].split(",")[8] == "100"
    assert len(spot) == 23, "the hole stays a hole"


def test_a_sum_over_a_missing_value_is_missing(sandbox: Sandbox) -> None:
    whole, part = ask(
        sandbox, "/api/v3/klines", interval="4h", startTime=to_milliseconds(FIRST + timedelta(hours=24)), limit=2
    ).json()
    assert whole[8] == 400
    assert part[8] is None
    assert float(part[5]) == 40.0


def test_bars_smaller_than_the_recording_do_not_exist(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/fapi/v1/klines", interval="15m").json()["code"] == -1120
    assert ask(sandbox, "/data/futures/um/daily/klines/ETHUSDT/15m/ETHUSDT-15m-2025-05-30.zip").status_code == 404
    assert len(ask(sandbox, "/fapi/v1/klines", interval="4h", limit=3).json()) == 3


def test_the_future_of_the_recording_is_not_shown(sandbox: Sandbox) -> None:
    newest = ask(sandbox, "/fapi/v1/klines", interval="1h", limit=1).json()[0]
    assert newest[0] == to_milliseconds(NOW.replace(second=0))
    assert newest[1] == newest[4], "an open bar of one base step shows its open"
    assert ask(sandbox, "/fapi/v1/fundingRate", limit=1).json()[0]["fundingTime"] <= to_milliseconds(NOW)


def test_metrics_hold_only_the_snapshots_that_are_known(sandbox: Sandbox) -> None:
    rows = archive_lines(sandbox, "/data/futures/um/daily/metrics/ETHUSDT/ETHUSDT-metrics-2025-05-30.zip")[1:]
    assert [row[:19] for row in rows] == ["2025-05-30 08:00:00", "2025-05-30 16:00:00"]
    assert rows[0].endswith(",,,,,")
    assert len(ask(sandbox, "/futures/data/openInterestHist", period="4h").json()) == 10


def test_streams_that_were_not_recorded_are_empty(sandbox: Sandbox) -> None:
    assert ask(sandbox, "/fapi/v1/premiumIndexKlines", interval="1h").json() == []
    assert ask(sandbox, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h").json()["code"] == -1121


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="klines_"):
        ReplayMarket(tmp_path)


def test_real_history_is_served_with_its_own_figures(real_data: Path) -> None:
    """Published price points: 2021-11-10 high 4,877.54, 2024-01-01 open 2,283.84; funding every 2-4 h in 2022-11."""
    with Sandbox(ReplayMarket(real_data), now=datetime(2025, 6, 29, 12, tzinfo=UTC)) as sandbox:
        day = to_milliseconds(datetime(2021, 11, 10, tzinfo=UTC))
        assert ask(sandbox, "/fapi/v1/klines", interval="1d", startTime=day, limit=1).json()[0][2] == "4877.54"
        january = archive_lines(sandbox, "/data/futures/um/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01.zip")
        assert january[1].split(",")[1] == "2283.84"
        path = "/data/futures/um/monthly/fundingRate/SOLUSDT/SOLUSDT-fundingRate-2022-11.zip"
        assert {line.split(",")[1] for line in archive_lines(sandbox, path)[1:]} >= {"2", "4", "8"}
        assert ask(sandbox, "/data/futures/um/monthly/klines/SOLUSDT/1h/SOLUSDT-1h-2022-05.zip").status_code == 404
