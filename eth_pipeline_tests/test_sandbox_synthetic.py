"""The synthetic market: a past that never changes, bars that hold together, and skill exactly where it is planted."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.market import BAR_STREAMS
from eth_pipeline.sandbox.synthetic import SyntheticMarket

START = datetime(2022, 1, 1, tzinfo=UTC)
FAR_END = datetime(2026, 1, 1, tzinfo=UTC)
FIVE_HOURS = 20


def auc(score: NDArray[np.float64], went_up: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; scores without ties."""
    rank = np.empty(len(score))
    rank[np.argsort(score)] = np.arange(1, len(score) + 1)
    ups = int(went_up.sum())
    return float((rank[went_up].sum() - ups * (ups + 1) / 2) / (ups * (len(score) - ups)))


def log_close(market: SyntheticMarket, symbol: str) -> NDArray[np.float64]:
    return np.log(market.bars("klines", symbol, until=FAR_END)["close"].to_numpy())


@pytest.fixture(scope="module")
def planted() -> SyntheticMarket:
    return SyntheticMarket(seed=7, start=START, end=FAR_END, signal_strength=1.0)


@pytest.fixture(scope="module")
def unplanted() -> SyntheticMarket:
    return SyntheticMarket(seed=7, start=START, end=FAR_END, signal_strength=0.0)


def test_extending_the_end_never_changes_an_earlier_row() -> None:
    early, late = START + timedelta(days=20), START + timedelta(days=70)
    short, long = (SyntheticMarket(seed=3, start=START, end=end) for end in (early, late))
    endless = SyntheticMarket(seed=3, start=START)
    endless.bars("klines", "ETHUSDT", until=early)
    for symbol in short.symbols:
        for stream in BAR_STREAMS:
            known = short.bars(stream, symbol, until=early)
            assert long.bars(stream, symbol, until=late).head(known.height).equals(known)
            assert endless.bars(stream, symbol, until=late + timedelta(days=60)).head(known.height).equals(known)
        for rows in (lambda market: market.funding(symbol, until=late), lambda m: m.open_interest(symbol, until=late)):  # noqa: B023 (called at once)
            known = rows(short)
            assert known.height > 0
            assert rows(long).head(known.height).equals(known)


def test_a_seed_is_a_market_and_another_seed_another_one() -> None:
    end = START + timedelta(days=5)
    first, same, other = (SyntheticMarket(seed=seed, start=START, end=end) for seed in (1, 1, 2))
    bars = first.bars("klines", "ETHUSDT", until=end)
    assert bars.equals(same.bars("klines", "ETHUSDT", until=end))
    assert not bars.equals(other.bars("klines", "ETHUSDT", until=end))
    assert bars.height == 5 * 96


def test_bars_hold_together() -> None:
    end = START + timedelta(days=120)
    market = SyntheticMarket(seed=11, start=START, end=end)
    for symbol in market.symbols:
        for stream in ("klines", "spot_klines", "mark_klines"):
            bars = market.bars(stream, symbol, until=end)
            assert bars.null_count().sum_horizontal().item() == 0
            bad = bars.filter(
                (pl.col("high") < pl.max_horizontal("open", "close"))
                | (pl.col("low") > pl.min_horizontal("open", "close"))
                | (pl.col("low") <= 0)
                | (pl.col("taker_buy_volume") > pl.col("volume"))
                | (pl.col("volume") < 0)
            )
            assert bad.is_empty(), (symbol, stream, bad.head(3))
            assert bars["open_time"].diff().drop_nulls().unique().to_list() == [900_000]
        perpetual = market.bars("klines", symbol, until=end)
        assert (perpetual["open"][1:] == perpetual["close"][:-1]).all(), "a bar opens where the last one closed"


def test_the_driver_predicts_the_next_hours_at_strength_one(planted: SyntheticMarket) -> None:
    driver = planted.driver("ETHUSDT")["driver"].to_numpy()
    close = log_close(planted, "ETHUSDT")
    forward = close[FIVE_HOURS:] - close[:-FIVE_HOURS]
    assert 0.575 < auc(driver[:-FIVE_HOURS], forward > 0) < 0.605
    assert driver.mean() == pytest.approx(0, abs=0.15)
    assert driver.std() == pytest.approx(1, abs=0.1)


def test_the_driver_moves_the_other_symbols_less(planted: SyntheticMarket) -> None:
    for symbol in ("BTCUSDT", "SOLUSDT", "BNBUSDT"):
        close = log_close(planted, symbol)
        forward = close[FIVE_HOURS:] - close[:-FIVE_HOURS]
        assert 0.51 < auc(planted.driver(symbol)["driver"].to_numpy()[:-FIVE_HOURS], forward > 0) < 0.575


def test_what_the_public_sees_of_the_driver_is_noisy_but_useful(planted: SyntheticMarket) -> None:
    bars = planted.bars("klines", "ETHUSDT", until=FAR_END)
    bought = (bars["taker_buy_volume"] / bars["volume"]).rolling_mean(96).to_numpy()
    close = log_close(planted, "ETHUSDT")
    forward = close[FIVE_HOURS:] - close[:-FIVE_HOURS]
    assert 0.515 < auc(bought[96:-FIVE_HOURS], forward[96:] > 0) < 0.575


def observables(market: SyntheticMarket) -> dict[str, NDArray[np.float64]]:
    """What a feature set sees at the end of each step, shape (n,) each."""
    bars = market.bars("klines", "ETHUSDT", until=FAR_END)
    spot = market.bars("spot_klines", "ETHUSDT", until=FAR_END)
    close, btc = bars["close"].log(), pl.Series(log_close(market, "BTCUSDT"))
    bought = bars["taker_buy_volume"] / bars["volume"]
    premium = close - spot["close"].log()
    seen = {
        "return 15 m": close.diff(),
        "return 5 h": close.diff(20),
        "return 24 h": close.diff(96),
        "BTC return 5 h": btc.diff(20),
        "taker share": bought,
        "taker share 24 h": bought.rolling_mean(96),
        "premium": premium,
        "premium against its week": premium - premium.rolling_mean(672),
        "volume against its week": bars["volume"] / bars["volume"].rolling_mean(672),
        "volatility 24 h": close.diff().rolling_std(96),
        "driver": market.driver("ETHUSDT")["driver"],
    }
    return {name: series.to_numpy() for name, series in seen.items()}


def test_at_strength_zero_nothing_seen_predicts_the_direction(unplanted: SyntheticMarket) -> None:
    """A market that leaks its future at strength zero would let a worthless model through the gates.

    140,000 steps hold about 7,000 independent windows of 5 h, so the standard error of an AUC is 0.007;
    slow observables have fewer independent values, hence three standard errors of that and a margin.
    """
    close = log_close(unplanted, "ETHUSDT")
    forward = close[FIVE_HOURS:] - close[:-FIVE_HOURS]
    skill = {name: auc(seen[700:-FIVE_HOURS], forward[700:] > 0) for name, seen in observables(unplanted).items()}
    assert {name: value for name, value in skill.items() if abs(value - 0.5) > 0.022} == {}


def test_at_strength_zero_the_next_step_is_uncorrelated_with_everything_seen(unplanted: SyntheticMarket) -> None:
    step = np.diff(log_close(unplanted, "ETHUSDT"))
    sign = np.sign(step[700:])
    limit = 4.5 / np.sqrt(len(sign))
    for name, seen in observables(unplanted).items():
        correlation = np.corrcoef(seen[700:-1], sign)[0, 1]
        assert abs(correlation) < limit, name


def test_takers_buy_with_the_move_of_their_own_step_and_volume_follows_its_size(unplanted: SyntheticMarket) -> None:
    bars = unplanted.bars("klines", "ETHUSDT", until=FAR_END)
    step = np.diff(bars["close"].log().to_numpy(), prepend=np.log(bars["open"][0]))
    bought = (bars["taker_buy_volume"] / bars["volume"]).to_numpy()
    assert np.corrcoef(bought, step)[0, 1] > 0.4
    assert np.corrcoef(np.log(bars["volume"].to_numpy()), np.abs(step))[0, 1] > 0.3


def test_volatility_clusters_and_symbols_move_together(planted: SyntheticMarket) -> None:
    eth, btc = np.diff(log_close(planted, "ETHUSDT")), np.diff(log_close(planted, "BTCUSDT"))
    daily = np.abs(eth[: len(eth) // 96 * 96]).reshape(-1, 96).mean(axis=1)
    assert np.corrcoef(daily[1:], daily[:-1])[0, 1] > 0.5
    assert 0.5 < np.corrcoef(eth, btc)[0, 1] < 0.9
    kurtosis = np.mean((eth / eth.std()) ** 4)
    assert kurtosis > 4.5, "tails fatter than a normal's 3"
    hours = np.abs(eth[: len(eth) // 96 * 96]).reshape(-1, 24, 4).mean(axis=(0, 2))
    assert hours[14] > 1.3 * hours[4]


def test_funding_settles_every_eight_hours_from_the_premium_and_is_often_the_base_rate(
    planted: SyntheticMarket,
) -> None:
    funding = planted.funding("ETHUSDT", until=FAR_END)
    assert (funding["funding_time"] // 1000 % 28_800 == 0).all()
    assert funding["funding_time"].diff().drop_nulls().is_between(28_799_990, 28_800_010).all()
    base = (funding["funding_rate"] == 0.0001).mean()
    assert isinstance(base, float)
    assert 0.2 < base < 0.95
    assert funding["funding_rate"].min() < 0


def test_an_open_interest_snapshot_does_not_look_into_the_step_it_is_in() -> None:
    """Two markets that differ only in the signal differ first where a finished step has already differed."""
    end = START + timedelta(days=3)
    plain, strong = (SyntheticMarket(seed=5, start=START, end=end, signal_strength=size) for size in (0.0, 4.0))
    closes = [market.bars("klines", "ETHUSDT", until=end)["close"].to_numpy() for market in (plain, strong)]
    snapshots = [market.open_interest("ETHUSDT", until=end) for market in (plain, strong)]
    first_step = int(np.flatnonzero(closes[0] != closes[1])[0])
    values = [frame["open_interest_value"].to_numpy() for frame in snapshots]
    first_snapshot = int(np.flatnonzero(values[0] != values[1])[0])
    step_end = plain.bars("klines", "ETHUSDT", until=end)["open_time"][first_step] + 900_000
    assert snapshots[0]["period_end"][first_snapshot] == step_end


def test_impossible_markets_are_refused() -> None:
    for wrong in (
        {"start": START + timedelta(minutes=7)},
        {"start": START, "end": START},
        {"start": START, "signal_strength": -1.0},
    ):
        with pytest.raises(SettingsInvalid):
            SyntheticMarket(seed=1, **wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsInvalid, match="until"):
        SyntheticMarket(seed=1, start=START).driver("ETHUSDT")
