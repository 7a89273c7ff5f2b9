"""The embedded exchange over real HTTP: control, headers, limits, and an independent client reading it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt
import httpx2
import polars as pl
import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.limits import Limits
from eth_pipeline.sandbox.market import aggregate
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

START = datetime(2025, 4, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 15, 12, 20, tzinfo=UTC)
HOUR_MS = 3_600_000
HTTP = httpx2.Client()


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(seed=7, start=START, end=datetime(2025, 7, 1, tzinfo=UTC))


@pytest.fixture
def sandbox(market: SyntheticMarket) -> Iterator[Sandbox]:
    with Sandbox(market, now=NOW) as running:
        yield running


def get(sandbox: Sandbox, path: str, **params: Any) -> httpx2.Response:
    return HTTP.get(sandbox.url + path, params=params)


def ccxt_client(sandbox: Sandbox) -> ccxt.binanceusdm:
    client = ccxt.binanceusdm()
    client.urls["api"]["fapiPublic"] = f"{sandbox.url}/fapi/v1"
    client.urls["api"]["fapiData"] = f"{sandbox.url}/futures/data"
    return client


def test_ccxt_reads_bars_funding_mark_and_open_interest_as_it_reads_binance(
    sandbox: Sandbox, market: SyntheticMarket
) -> None:
    """An exchange that only our own client can read proves nothing about our client."""
    client = ccxt_client(sandbox)
    since = to_milliseconds(NOW - timedelta(hours=48)) // HOUR_MS * HOUR_MS
    pair = "ETH/USDT:USDT"
    assert client.load_markets()[pair]["id"] == "ETHUSDT"

    expected = aggregate(market.bars("klines", "ETHUSDT", until=NOW), interval_ms=HOUR_MS)
    expected = expected.filter(pl.col("open_time") >= since).head(24)
    bars = client.fetch_ohlcv(pair, "1h", since=since, limit=24)
    assert [tuple(bar) for bar in bars] == expected.select("open_time", "open", "high", "low", "close", "volume").rows()

    marks = client.fetch_mark_ohlcv(pair, "1h", since=since, limit=24)
    mark_rows = aggregate(market.bars("mark_klines", "ETHUSDT", until=NOW), interval_ms=HOUR_MS)
    mark_rows = mark_rows.filter(pl.col("open_time") >= since).head(24)
    assert [bar[4] for bar in marks] == mark_rows["close"].to_list()

    funding = client.fetch_funding_rate_history(pair, since=since, limit=100)
    settled = market.funding("ETHUSDT", until=NOW).filter(
        pl.col("funding_time").is_between(since, to_milliseconds(NOW))
    )
    assert [(row["timestamp"], row["fundingRate"]) for row in funding] == settled.select(
        "funding_time", "funding_rate"
    ).rows()

    history = client.fetch_open_interest_history(pair, "1h", since=since, limit=25)
    snapshots = market.open_interest("ETHUSDT", until=NOW).filter(
        (pl.col("period_end") >= since) & (pl.col("period_end") % HOUR_MS == 0)
    )
    # ccxt asks for since .. since + 25 h, both inclusive: 26 periods, of which the exchange gives the newest 25.
    assert [(row["timestamp"], row["openInterestAmount"]) for row in history] == snapshots.select(
        "period_end", "open_interest"
    ).rows()[1:26]


def test_every_answer_says_where_its_data_comes_from_and_what_weight_is_used(sandbox: Sandbox) -> None:
    for path, params in (
        ("/fapi/v1/time", {}),
        ("/fapi/v1/klines", {"symbol": "NOPE", "interval": "1h"}),
        ("/data/nothing/here.zip", {}),
        ("/sandbox/health", {}),
    ):
        answer = get(sandbox, path, **params)
        assert answer.headers["X-Sandbox-Provenance"] == "simulated"
    used = get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h", limit=1500)
    assert int(used.headers["X-MBX-USED-WEIGHT-1M"]) >= 10


def test_weight_beyond_the_limit_is_answered_429_with_the_seconds_to_wait(market: SyntheticMarket) -> None:
    with Sandbox(market, now=NOW, limits=Limits(futures_weight_per_minute=9)) as sandbox:
        refused = get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h", limit=1500)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.json()["code"] == -1003
        assert get(sandbox, "/api/v3/klines", symbol="ETHUSDT", interval="1h").status_code == 200


def test_switched_off_limits_still_count_weight(market: SyntheticMarket) -> None:
    with Sandbox(market, now=NOW, limits=Limits.none()) as sandbox:
        for _ in range(3):
            answer = get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h", limit=1500)
        assert answer.status_code == 200
        assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) >= 10


def test_the_virtual_clock_is_moved_from_python_and_over_http(sandbox: Sandbox) -> None:
    sandbox.clock.advance(timedelta(hours=2))
    assert get(sandbox, "/fapi/v1/time").json()["serverTime"] == to_milliseconds(NOW + timedelta(hours=2))
    moved = HTTP.post(f"{sandbox.url}/sandbox/clock", json={"now": "2025-06-20T00:00:00Z", "advance_seconds": 90})
    assert moved.json()["now"] == "2025-06-20T00:01:30Z"
    assert sandbox.clock.now() == datetime(2025, 6, 20, 0, 1, 30, tzinfo=UTC)
    assert HTTP.post(f"{sandbox.url}/sandbox/clock", json={"now": "2025-06-20"}).status_code == 400


def test_a_running_clock_goes_on_and_a_standing_one_does_not(market: SyntheticMarket) -> None:
    with Sandbox(market, now=NOW, clock_speed=3600.0) as sandbox:
        assert sandbox.clock.now() > NOW
        sandbox.clock.set_speed(0)
        assert sandbox.clock.now() == sandbox.clock.now()
        with pytest.raises(ValueError, match="backwards"):
            sandbox.clock.set_speed(-1)


def test_faults_are_switched_listed_and_cleared_over_http(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/sandbox/faults"
    on = HTTP.post(url, json={"kind": "server_error", "streams": ["klines"], "status": 502})
    number = on.json()["faults"][0]["number"]
    assert get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h").status_code == 502
    assert get(sandbox, "/fapi/v1/time").status_code == 200
    assert HTTP.delete(url, params={"number": number}).json() == {"faults": []}
    assert get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h").status_code == 200
    refused = HTTP.post(url, json={"kind": "earthquake"})
    assert refused.status_code == 400
    assert "stale" in refused.json()["error"]


def test_requests_are_counted_by_path_with_status_and_weight(sandbox: Sandbox) -> None:
    get(sandbox, "/fapi/v1/klines", symbol="ETHUSDT", interval="1h", limit=99)
    get(sandbox, "/fapi/v1/klines", symbol="NOPE", interval="1h", limit=499)
    assert sandbox.requests["/fapi/v1/klines"] == 2
    assert [(record.status, record.weight, record.symbol) for record in sandbox.requests.records] == [
        (200, 1, "ETHUSDT"),
        (400, 2, "NOPE"),
    ]
    listed = get(sandbox, "/sandbox/requests", newest=1).json()
    assert listed["total"] == 2
    assert len(listed["records"]) == 1
    sandbox.requests.clear()
    assert sandbox.requests.total == 0


def test_health_says_what_is_served(sandbox: Sandbox) -> None:
    health = get(sandbox, "/sandbox/health").json()
    assert health["provenance"] == "simulated"
    assert health["base_interval_minutes"] == 15
    assert "ETHUSDT" in health["symbols"]


def test_a_taken_port_and_a_second_start_are_refused_with_what_to_do(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(SettingsInvalid, match="Choose another"):
        Sandbox(sandbox.market, now=NOW, port=port).start()
    with pytest.raises(SettingsInvalid, match="already runs"):
        sandbox.start()


def test_a_stopped_exchange_refuses_connections_and_can_be_started_again(market: SyntheticMarket) -> None:
    sandbox = Sandbox(market, now=NOW).start()
    url = sandbox.url
    sandbox.stop()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url + "/fapi/v1/ping")
    with sandbox.start():
        assert get(sandbox, "/fapi/v1/ping").json() == {}
    assert url.startswith("http://127.0.0.1:")
