"""Features against the plainest computation by hand: slices of arrays, one hour at a time."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.features.build import build_features
from eth_pipeline_tests.random_market import BEGIN, CROSS, MAIN, random_market

HOURS = 880
MARKET = random_market(hours=HOURS, seed=21)
ROWS = build_features(MARKET, symbol=MAIN, cross_symbols=CROSS, base_interval="1h")
HOURS_TRIED = (803, 826, 851, 879)


def column(frame: pl.DataFrame, name: str, symbol: str = MAIN) -> np.ndarray:
    """Values by hour: index t is the bar that closes t + 1 hours after the beginning."""
    return frame.filter(pl.col("symbol") == symbol)[name].to_numpy().astype(float)


def bar(name: str, symbol: str = MAIN) -> np.ndarray:
    return column(MARKET.klines, name, symbol)


OPEN, H, L, C, V = (bar(name) for name in ("open", "high", "low", "close", "volume"))
R = np.concatenate([[np.nan], np.diff(np.log(C))])
BTC_R = np.concatenate([[np.nan], np.diff(np.log(bar("close", "BTCUSDT")))])
BASIS = np.log(C / column(MARKET.spot_klines, "close"))
TYPICAL = (H + L + C) / 3


def last(values: np.ndarray, t: int, hours: int) -> np.ndarray:
    """The newest `hours` values at row t."""
    return values[t - hours + 1 : t + 1]


def macd_line(t: int) -> float:
    fast, slow = (
        np.average(last(C, t, length)[::-1], weights=(1 - 2 / (span + 1)) ** np.arange(length))
        for span, length in ((12, 64), (26, 128))
    )
    return float(fast / slow - 1)


def rsi(t: int, hours: int) -> float:
    moves = last(R, t, hours)
    return float(moves[moves > 0].sum() / np.abs(moves).sum())


def bollinger(t: int) -> float:
    window = last(C, t, 20)
    return float((C[t] - window.mean()) / (2 * window.std(ddof=1)))


def cci(t: int) -> float:
    window = last(TYPICAL, t, 20)
    return float((TYPICAL[t] - window.mean()) / (0.015 * np.abs(window - window.mean()).mean()))


def position(t: int, hours: int) -> float:
    low, high = last(L, t, hours).min(), last(H, t, hours).max()
    return float((C[t] - low) / (high - low))


def kdj_k(t: int) -> float:
    return float(np.mean([position(t - j, 9) for j in range(3)]))


def beta(t: int) -> float:
    return float(np.polyfit(last(BTC_R, t, 168), last(R, t, 168), 1)[0])


def score(values: np.ndarray, t: int, hours: int) -> float:
    window = last(values, t, hours)
    return float((values[t] - window.mean()) / window.std(ddof=1))


def taker_imbalance(t: int) -> float:
    return float(2 * last(bar("taker_buy_volume"), t, 24).sum() / last(V, t, 24).sum() - 1)


def streak(t: int) -> float:
    length, sign = 0, np.sign(R[t])
    while np.sign(R[t - length]) == sign and length < 12:
        length += 1
    return float(sign * length)


def funding(t: int, hours: int) -> float:
    at = BEGIN + timedelta(hours=t + 1)
    rows = MARKET.funding_rates.filter(
        (pl.col("symbol") == MAIN)
        & (pl.col("funding_time") <= at)
        & (pl.col("funding_time") > at - timedelta(hours=hours))
    )
    return float(rows["funding_rate"].sum())


def open_interest(t: int) -> float:
    """The snapshot of hour h is published five minutes later, so at the full hour the one before counts."""
    return float(column(MARKET.open_interest, "open_interest")[t])


def seasonal(t: int) -> float:
    log_close = np.log(C)
    return float(np.mean([log_close[t - 24 * day + 5] - log_close[t - 24 * day] for day in range(1, 8)]))


def rogers_satchell(t: int) -> float:
    high, low, body = (np.log(last(x, t, 24) / last(OPEN, t, 24)) for x in (H, L, C))
    return float(np.sqrt(np.mean(high * (high - body) + low * (low - body))))


def garman_klass(t: int) -> float:
    span, body = np.log(last(H, t, 24) / last(L, t, 24)), np.log(last(C, t, 24) / last(OPEN, t, 24))
    return float(np.sqrt(np.mean(0.5 * span**2 - (2 * np.log(2) - 1) * body**2)))


def true_range(t: int) -> float:
    return float((max(H[t], C[t - 1]) - min(L[t], C[t - 1])) / C[t])


ORACLES = {
    "return_24h": lambda t: np.log(C[t] / C[t - 24]),
    "return_lag_1h": lambda t: R[t - 1],
    "return_lag_2h": lambda t: R[t - 2],
    "return_lag_3h": lambda t: R[t - 3],
    "return_lag_23h": lambda t: R[t - 23],
    "scaled_return_72h": lambda t: np.log(C[t] / C[t - 72]) / (last(R, t, 168).std(ddof=1) * np.sqrt(72)),
    "efficiency_24h": lambda t: last(R, t, 24).sum() / np.abs(last(R, t, 24)).sum(),
    "range_position_168h": lambda t: position(t, 168),
    "price_rank_60h": lambda t: (last(C, t, 60) < C[t]).sum() / 59,
    "same_hours_5h_7d": seasonal,
    "ma_slope_20h": lambda t: np.log(last(C, t, 20).mean() / last(C, t - 4, 20).mean()),
    "vwap_distance_24h": lambda t: np.log(C[t] / np.average(last(TYPICAL, t, 24), weights=last(V, t, 24))),
    "macd_line": macd_line,
    "rsi_14h": lambda t: rsi(t, 14),
    "kdj_k": kdj_k,
    "bollinger_position": bollinger,
    "cci_20h": cci,
    "realised_vol_24h": lambda t: last(R, t, 24).std(ddof=1),
    "parkinson_vol_24h": lambda t: np.sqrt(np.mean(np.log(last(H, t, 24) / last(L, t, 24)) ** 2) / (4 * np.log(2))),
    "parkinson_vol_168h": lambda t: np.sqrt(np.mean(np.log(last(H, t, 168) / last(L, t, 168)) ** 2) / (4 * np.log(2))),
    "garman_klass_vol_24h": garman_klass,
    "rogers_satchell_vol_24h": rogers_satchell,
    "atr_14h": lambda t: np.mean([true_range(t - j) for j in range(14)]),
    "volume_ratio_24h": lambda t: np.log(V[t] / last(V, t, 24).mean()),
    "volume_same_hour_7d": lambda t: np.log(V[t] / np.mean([V[t - 24 * day] for day in range(1, 8)])),
    "signed_volume_24h": lambda t: (np.sign(last(R, t, 24)) * last(V, t, 24)).sum() / last(V, t, 24).sum(),
    "taker_imbalance_24h": taker_imbalance,
    "upper_shadow": lambda t: (H[t] - max(OPEN[t], C[t])) / (H[t] - L[t]),
    "streak": streak,
    "funding_24h": lambda t: funding(t, 24),
    "funding_168h": lambda t: funding(t, 168),
    "oi_change_24h": lambda t: np.log(open_interest(t) / open_interest(t - 24)),
    "spot_basis": lambda t: BASIS[t],
    "spot_basis_zscore_168h": lambda t: score(BASIS, t, 168),
    "mark_gap": lambda t: np.log(C[t] / column(MARKET.mark_klines, "close")[t]),
    "btc_return_lag_1h": lambda t: BTC_R[t - 1],
    "btc_return_24h": lambda t: last(BTC_R, t, 24).sum(),
    "btc_relative_24h": lambda t: last(R, t, 24).sum() - last(BTC_R, t, 24).sum(),
    "btc_correlation_60h": lambda t: np.corrcoef(last(R, t, 60), last(BTC_R, t, 60))[0, 1],
    "btc_lead_correlation_72h": lambda t: np.corrcoef(last(R, t, 72), last(BTC_R, t - 1, 72))[0, 1],
    "btc_beta_168h": beta,
    "btc_residual_24h": lambda t: last(R, t, 24).sum() - beta(t) * last(BTC_R, t, 24).sum(),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_feature_equals_its_hand_computation(name: str) -> None:
    for t in HOURS_TRIED:
        at = BEGIN + timedelta(hours=t + 1)
        got = ROWS.filter(pl.col("decision_time") == at)[name].item()
        assert got == pytest.approx(ORACLES[name](t), rel=2e-5, abs=1e-7)


def test_hours_to_funding_count_down_to_the_next_settlement() -> None:
    day = ROWS.filter(pl.col("decision_time").dt.day() == 20)["hours_to_funding"].to_list()
    assert day == [8, 7, 6, 5, 4, 3, 2, 1] * 3


def test_two_hour_settlements_are_compared_per_eight_hours() -> None:
    """In the week of 2022-11-09 SOL settled every two hours; a rate is only comparable per the same time."""
    settled = pl.col("funding_time")
    begin = BEGIN + timedelta(hours=600)
    main = MARKET.funding_rates.filter((pl.col("symbol") == MAIN) & (settled <= begin))
    extra = pl.concat([main.tail(1).with_columns(
        (settled + timedelta(hours=h)).alias("funding_time"), pl.lit(0.002).alias("funding_rate"),
        (pl.col("available_at") + timedelta(hours=h)).alias("available_at"),
    ) for h in range(2, 50, 2)])  # fmt: skip
    others = MARKET.funding_rates.filter(pl.col("symbol") != MAIN)
    market = type(MARKET)(
        MARKET.klines, MARKET.mark_klines, MARKET.spot_klines, pl.concat([main, extra, others]), MARKET.open_interest
    )
    rows = build_features(
        market, symbol=MAIN, cross_symbols=CROSS, base_interval="1h", end=BEGIN + timedelta(hours=640)
    )
    newest = rows.tail(1)
    assert newest["funding_rate"].item() == pytest.approx(0.008)
    assert newest["funding_24h"].item() == pytest.approx(12 * 0.002)
    assert newest["hours_to_funding"].item() == 2


def test_a_hole_in_the_settlements_is_not_a_rate_of_zero() -> None:
    """SOL misses 75 settlements in 2023-04/05."""
    hole = pl.col("funding_time").is_between(BEGIN + timedelta(hours=700), BEGIN + timedelta(hours=790))
    market = type(MARKET)(
        MARKET.klines, MARKET.mark_klines, MARKET.spot_klines, MARKET.funding_rates.filter(~hole), MARKET.open_interest
    )
    rows = build_features(market, symbol=MAIN, cross_symbols=CROSS, base_interval="1h").filter(
        pl.col("decision_time") == BEGIN + timedelta(hours=780)
    )
    assert rows.select("funding_rate", "funding_24h", "funding_72h", "funding_168h", "btc_funding_difference").row(
        0
    ) == ((None,) * 5)
    assert rows["funding_720h"].item() is not None
