"""The JSON endpoints: formats, paging, refusals and the open bar, as Binance documents them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from eth_pipeline.contracts.clock import to_milliseconds
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

START = datetime(2025, 4, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 15, 12, 20, tzinfo=UTC)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
HTTP = httpx2.Client()


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(SyntheticMarket(seed=7, start=START), now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.clock.set(NOW)
    running.faults.clear()
    return running


def get(sandbox: Sandbox, path: str, **params: Any) -> Any:
    return HTTP.get(sandbox.url + path, params={"symbol": "ETHUSDT", **params}).json()


def test_a_bar_has_twelve_fields_with_prices_as_strings(sandbox: Sandbox) -> None:
    bar = get(sandbox, "/fapi/v1/klines", interval="1h", limit=2)[0]
    assert len(bar) == 12
    assert [type(field) for field in bar] == [int, str, str, str, str, str, int, str, int, str, str, str]
    assert bar[6] == bar[0] + HOUR_MS - 1
    low, close, high = float(bar[3]), float(bar[4]), float(bar[2])
    assert low <= close <= high
    assert 0 < float(bar[9]) < float(bar[5])


def test_mark_and_premium_bars_carry_placeholders_where_a_volume_would_stand(sandbox: Sandbox) -> None:
    for path in ("/fapi/v1/markPriceKlines", "/fapi/v1/premiumIndexKlines"):
        bar = get(sandbox, path, interval="15m", limit=1)[0]
        assert (bar[5], bar[7], bar[9], bar[10], bar[11]) == ("0", "0", "0", "0", "0")


def test_the_last_bar_is_open_and_knows_nothing_of_the_rest_of_its_hour(sandbox: Sandbox) -> None:
    """A pipeline that stores the open bar trains on a bar that never existed."""
    before = get(sandbox, "/fapi/v1/klines", interval="1h", limit=1)[0]
    assert before[0] == to_milliseconds(NOW.replace(minute=0))
    assert before[6] > to_milliseconds(NOW)
    sandbox.clock.set(NOW.replace(minute=0) + timedelta(hours=1, seconds=1))
    after = get(sandbox, "/fapi/v1/klines", interval="1h", limit=2)[0]
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert float(after[5]) > float(before[5])
    quarter = get(sandbox, "/fapi/v1/klines", interval="15m", startTime=before[0], limit=2)
    assert before[4] == quarter[1][1], "the close of the open bar is the open of the step under way"


def test_a_bar_of_one_base_step_shows_only_its_open_until_it_closes(sandbox: Sandbox) -> None:
    bar = get(sandbox, "/fapi/v1/klines", interval="15m", limit=1)[0]
    assert bar[1] == bar[2] == bar[3] == bar[4]
    begun = sandbox.clock.set(NOW.replace(minute=30, second=0))
    volumes = []
    for seconds in (0, 225, 450, 900):
        sandbox.clock.set(begun + timedelta(seconds=seconds))
        volumes.append(get(sandbox, "/fapi/v1/klines", interval="15m", startTime=to_milliseconds(begun), limit=1)[0][5])
    whole = float(volumes[-1])
    assert [float(volume) for volume in volumes] == pytest.approx([0, whole / 4, whole / 2, whole], rel=1e-4)


def test_start_and_end_are_inclusive_on_open_time(sandbox: Sandbox) -> None:
    first = to_milliseconds(datetime(2025, 6, 1, tzinfo=UTC))
    page = get(sandbox, "/fapi/v1/klines", interval="1h", startTime=first, endTime=first + 3 * HOUR_MS)
    assert [bar[0] for bar in page] == [first + hours * HOUR_MS for hours in range(4)]


def test_a_start_pages_forward_and_no_start_gives_the_newest(sandbox: Sandbox) -> None:
    first = to_milliseconds(datetime(2025, 6, 1, tzinfo=UTC))
    assert get(sandbox, "/fapi/v1/klines", interval="1h", startTime=first, limit=3)[0][0] == first
    newest = get(sandbox, "/fapi/v1/klines", interval="1h", limit=3)
    assert newest[-1][0] == to_milliseconds(NOW.replace(minute=0))
    until = get(sandbox, "/fapi/v1/klines", interval="1h", endTime=first, limit=3)
    assert until[-1][0] == first
    assert len(get(sandbox, "/fapi/v1/klines", interval="1h")) == 500


def test_nothing_exists_after_now_or_before_the_listing(sandbox: Sandbox) -> None:
    assert get(sandbox, "/fapi/v1/klines", interval="1h", startTime=to_milliseconds(NOW)) == []
    assert get(sandbox, "/fapi/v1/klines", interval="1h", endTime=to_milliseconds(START) - 1) == []


def test_wrong_requests_get_the_codes_of_binance(sandbox: Sandbox) -> None:
    cases = [
        ("/fapi/v1/klines", {"symbol": "NOPEUSDT", "interval": "1h"}, -1121),
        ("/fapi/v1/klines", {"interval": "7m"}, -1120),
        ("/fapi/v1/klines", {"interval": "5m"}, -1120),
        ("/fapi/v1/klines", {}, -1102),
        ("/fapi/v1/klines", {"interval": "1h", "limit": 1501}, -1130),
        ("/fapi/v1/klines", {"interval": "1h", "startTime": "yesterday"}, -1100),
        ("/fapi/v1/klines", {"interval": "1h", "startTime": 20, "endTime": 10}, -1023),
        ("/futures/data/openInterestHist", {"period": "1m"}, -1130),
    ]
    for path, params, code in cases:
        answer = HTTP.get(sandbox.url + path, params={"symbol": "ETHUSDT", **params})
        assert (answer.status_code, answer.json()["code"]) == (400, code), (path, params)


def test_spot_clamps_a_limit_that_futures_refuse(sandbox: Sandbox) -> None:
    assert len(get(sandbox, "/api/v3/klines", interval="1h", limit=5000)) == 1000


def test_weights_follow_the_documented_steps(sandbox: Sandbox) -> None:
    sandbox.requests.clear()
    for limit in (99, 100, 499, 500, 1000, 1001):
        get(sandbox, "/fapi/v1/klines", interval="1h", limit=limit)
    assert [record.weight for record in sandbox.requests.records] == [1, 2, 2, 5, 5, 10]


def test_funding_ascends_from_a_start_and_start_zero_gives_only_the_latest(sandbox: Sandbox) -> None:
    """Paging from 0 looked complete and held the last weeks only."""
    ascending = get(sandbox, "/fapi/v1/fundingRate", startTime=to_milliseconds(START) + 1, limit=5)
    assert [row["fundingTime"] // 1000 for row in ascending] == [
        int((START + timedelta(hours=8 * i)).timestamp()) for i in range(1, 6)
    ]
    latest = get(sandbox, "/fapi/v1/fundingRate", startTime=0, limit=5)
    assert latest[-1]["fundingTime"] // 1000 == int(NOW.replace(hour=8, minute=0).timestamp())
    assert len(get(sandbox, "/fapi/v1/fundingRate")) == 200


def test_open_interest_is_keyed_by_the_end_of_its_period(sandbox: Sandbox) -> None:
    rows = get(sandbox, "/futures/data/openInterestHist", period="5m", limit=2)
    assert rows[-1]["timestamp"] == to_milliseconds(NOW)
    sandbox.clock.set(NOW - timedelta(milliseconds=1))
    assert get(sandbox, "/futures/data/openInterestHist", period="5m", limit=1)[0]["timestamp"] == rows[0]["timestamp"]


def test_open_interest_history_reaches_back_a_month_and_refuses_more(sandbox: Sandbox) -> None:
    rows = get(sandbox, "/futures/data/openInterestHist", period="1d", limit=500)
    assert len(rows) == 30
    too_old = to_milliseconds(NOW - timedelta(days=30)) - 1
    refused = get(sandbox, "/futures/data/openInterestHist", period="1d", startTime=too_old)
    assert refused["code"] == -1130
    full_hour = sandbox.clock.set(NOW.replace(minute=0, second=0))
    oldest = to_milliseconds(full_hour - timedelta(days=30))
    for path in ("openInterestHist", "globalLongShortAccountRatio"):
        page = get(sandbox, f"/futures/data/{path}", period="5m", startTime=oldest, endTime=oldest)
        assert [row["timestamp"] for row in page] == [oldest], "exactly a month is no more"


def test_latest_figures_agree_with_the_histories(sandbox: Sandbox) -> None:
    newest = get(sandbox, "/futures/data/openInterestHist", period="5m", limit=1)[0]
    snapshot = get(sandbox, "/fapi/v1/openInterest")
    assert float(snapshot["openInterest"]) == float(newest["sumOpenInterest"])
    premium = get(sandbox, "/fapi/v1/premiumIndex")
    assert premium["lastFundingRate"] == get(sandbox, "/fapi/v1/fundingRate", limit=1)[0]["fundingRate"]
    everything = HTTP.get(sandbox.url + "/fapi/v1/premiumIndex").json()
    assert premium in everything
    assert get(sandbox, "/fapi/v1/fundingInfo")[0]["fundingIntervalHours"] == 8


def test_larger_intervals_are_made_of_the_base_bars(sandbox: Sandbox) -> None:
    day = to_milliseconds(datetime(2025, 6, 10, tzinfo=UTC))
    for interval, steps in (("30m", 2), ("1h", 4), ("4h", 16), ("8h", 32), ("1d", 96)):
        whole = get(sandbox, "/fapi/v1/klines", interval=interval, startTime=day, limit=1)[0]
        parts = get(sandbox, "/fapi/v1/klines", interval="15m", startTime=day, limit=steps)
        assert whole[1] == parts[0][1]
        assert whole[4] == parts[-1][4]
        assert float(whole[2]) == max(float(bar[2]) for bar in parts)
        assert float(whole[5]) == pytest.approx(sum(float(bar[5]) for bar in parts))
        assert whole[8] == sum(bar[8] for bar in parts)
