"""Features of every hour: no look-ahead, no memory of the first row, no scale, missing stays missing."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from eth_pipeline.errors import ContractViolation, ProvenanceMismatch, SettingsInvalid
from eth_pipeline.features.bars import VOLUME_COLUMNS, aggregate
from eth_pipeline.features.build import LOOKBACK, build_features
from eth_pipeline.features.catalogue import (
    DEFINITION_VERSION,
    available_feature_names,
    feature_names,
    feature_specs,
    features_contract,
)
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline_tests.random_market import BEGIN, CROSS, MAIN, random_market

HOUR = timedelta(hours=1)
HOURS = 1150
NAMES = feature_names(symbol=MAIN, cross_symbols=CROSS)
VOLUMES = pl.col("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
NO_TRADES = pl.lit(None, dtype=pl.Int64)
NO_VOLUME = pl.lit(None, dtype=pl.Float64)


def build(sources: FeatureSources, *, base_interval: str = "1h", **span: datetime) -> pl.DataFrame:
    return build_features(sources, symbol=MAIN, cross_symbols=CROSS, base_interval=base_interval, **span)


def hour(count: int) -> datetime:
    return BEGIN + count * HOUR


@cache
def ragged() -> FeatureSources:
    """A market with everything that goes wrong: holes, late bars, late settlements, snapshots that stop."""
    market = random_market(hours=HOURS)
    rng = np.random.default_rng(3)

    def torn(frame: pl.DataFrame, end: str, late: timedelta) -> pl.DataFrame:
        chance = pl.Series("chance", rng.random(frame.height))
        delay = pl.when(pl.col("chance") < 0.01).then(late).otherwise(timedelta(0))
        kept = frame.with_columns(chance).filter(pl.col("chance") < 0.99)
        return (
            kept.with_columns(pl.col("available_at") + delay)
            .drop("chance")
            .filter((pl.col("symbol") != MAIN) | ~pl.col(end).is_between(hour(990), hour(994), closed="left"))
        )

    return FeatureSources(
        klines=torn(market.klines, "close_time", 3 * HOUR),
        mark_klines=torn(market.mark_klines, "close_time", 3 * HOUR),
        spot_klines=torn(market.spot_klines, "close_time", 30 * HOUR),
        funding_rates=torn(market.funding_rates, "funding_time", timedelta(minutes=40)),
        open_interest=torn(market.open_interest, "period_end", 4 * HOUR),
        premium_klines=torn(market.premium_klines, "close_time", 3 * HOUR),
        positioning=torn(market.positioning, "period_end", 2 * HOUR),
    )


@cache
def ragged_features() -> pl.DataFrame:
    return build(ragged())


def scrambled_after(sources: FeatureSources, instant: datetime) -> FeatureSources:
    """The same past; every number that was known later is another one."""
    rng = np.random.default_rng(11)

    def scramble(frame: pl.DataFrame) -> pl.DataFrame:
        noise = pl.Series("noise", rng.lognormal(0, 0.5, frame.height))
        numbers = [name for name, dtype in frame.schema.items() if dtype == pl.Float64]
        later = pl.col("available_at") > instant
        return (
            frame.with_columns(noise)
            .with_columns(
                pl.when(later).then(pl.col(n) * pl.col("noise")).otherwise(pl.col(n)).alias(n) for n in numbers
            )
            .drop("noise")
        )

    return FeatureSources(**{f.name: scramble(getattr(sources, f.name)) for f in fields(sources)})


def worst(left: pl.DataFrame, right: pl.DataFrame, *, relative: float, absolute: float) -> list[str]:
    """Features whose values differ beyond the tolerance, or that are null on one side only."""
    assert left["decision_time"].equals(right["decision_time"])
    found = []
    for name in NAMES:
        a, b = left[name].cast(pl.Float64).to_numpy(), right[name].cast(pl.Float64).to_numpy()
        if not np.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True):
            found.append(f"{name}: {np.nanmax(np.abs(a - b)):.3g}")
    return found


@pytest.mark.parametrize("at", [620, 801, 873, 991, 995, 1024])
def test_a_removed_future_never_changes_a_past_row(at: int) -> None:
    """Every row up to T, every feature, bit for bit."""
    past = ragged_features().filter(pl.col("decision_time") <= hour(at))
    assert_frame_equal(build(ragged().until(hour(at))), past, check_exact=True)


@pytest.mark.parametrize("at", [700, 906, 993, 1100])
def test_a_changed_future_never_changes_a_past_row(at: int) -> None:
    past = ragged_features().filter(pl.col("decision_time") <= hour(at))
    rebuilt = build(scrambled_after(ragged(), hour(at)))
    assert_frame_equal(rebuilt.filter(pl.col("decision_time") <= hour(at)), past, check_exact=True)
    assert not rebuilt.equals(ragged_features())


@pytest.mark.parametrize("at", [810, 860, 985, 989, 994, 996, 1003, 1020, 1057, 1140])
def test_the_last_row_alone_equals_the_last_row_of_the_batch(at: int) -> None:
    """From [T - LOOKBACK, T] only; nulls equal, values to 1e-5 relative or 1e-7 absolute."""
    alone = build(ragged().since(hour(at) - LOOKBACK).until(hour(at)), start=hour(at - 1), end=hour(at))
    batch = ragged_features().filter(pl.col("decision_time") == hour(at))
    assert alone.height == batch.height
    assert worst(alone, batch, relative=1e-5, absolute=1e-7) == []


def test_a_long_history_and_a_short_one_give_the_same_rows() -> None:
    """Years are computed in threads and cleaned block by block, a few hours on one thread at once."""
    market = random_market(hours=4_300)
    halted = (pl.col("open_time").dt.hour() == 7) & (pl.col("symbol") == MAIN)
    market = replace(market, klines=market.klines.with_columns(pl.when(~halted).then(VOLUMES).otherwise(0.0)))
    long, short = build(market), build(market, start=hour(4_060))
    assert long.height == 4_300
    assert short.height == 240
    assert worst(long.tail(240), short, relative=1e-5, absolute=1e-7) == []
    assert long.tail(240)["coverage"].equals(short["coverage"])
    assert long["coverage"].to_list() == pytest.approx(
        long.select(pl.mean_horizontal(pl.col(NAMES).is_not_null())).to_series().to_list()
    )
    assert not long.select(pl.any_horizontal(pl.col(NAMES).is_infinite() | pl.col(NAMES).is_nan())).to_series().any()


def test_no_row_depends_on_where_the_history_begins() -> None:
    """Cumulative sums since the first row made the reviewed system's features change with the file's age."""
    begin = hour(137)
    later = build(ragged().since(begin)).filter(pl.col("decision_time") >= begin + LOOKBACK)
    same = ragged_features().filter(pl.col("decision_time") >= begin + LOOKBACK)
    assert later.height > 150
    assert worst(later, same, relative=1e-5, absolute=1e-7) == []


def test_no_feature_knows_dollars_or_coins() -> None:
    """Another price level and another coin size, each symbol its own, change nothing."""
    price = pl.col("symbol").replace_strict({MAIN: 7.0, "BTCUSDT": 0.013, "SOLUSDT": 190.0, "BNBUSDT": 7.0})
    coins = pl.col("symbol").replace_strict({MAIN: 3.0, "BTCUSDT": 11.0, "SOLUSDT": 3.0, "BNBUSDT": 0.3})
    factors = dict.fromkeys(("open", "high", "low", "close"), price)
    factors |= dict.fromkeys(("volume", "taker_buy_volume", "open_interest"), coins)
    factors |= dict.fromkeys(("quote_volume", "taker_buy_quote_volume", "open_interest_value"), price * coins)

    def scaled(name: str) -> pl.DataFrame:
        frame = getattr(market, name)
        if name == "premium_klines":  # its prices are shares of the index
            return frame
        return frame.with_columns(pl.col(n) * factor for n, factor in factors.items() if n in frame.columns)

    market = ragged()
    other = build(FeatureSources(**{f.name: scaled(f.name) for f in fields(market)}))
    assert worst(other, ragged_features(), relative=1e-5, absolute=2e-7) == []


def _is_taker(name: str) -> bool:
    return ("taker" in name or "trade" in name) and not name.startswith(("spot_", "positioning_"))


@pytest.mark.parametrize(
    ("lost", "belongs"),
    [
        ("mark_klines", lambda name: name.startswith("mark_")),
        ("spot_klines", lambda name: "spot_" in name or name.startswith("mark_basis")),
        ("funding_rates", lambda name: "funding" in name),  # the window of the premium begins at a settlement
        ("open_interest", lambda name: name.startswith("oi_")),
        ("premium_klines", lambda name: name.startswith("premium")),
        ("positioning", lambda name: name.startswith("positioning_")),
        ("taker", lambda name: _is_taker(name) or name == "spot_minus_taker_imbalance_24h"),
        ("SOLUSDT", lambda name: name.startswith("sol_")),
    ],
)
def test_an_absent_source_leaves_nulls_and_touches_nothing_else(lost: str, belongs) -> None:
    """Replayed history has no taker volume, and SOL's perpetual begins in 2022-06: neither may become a zero."""
    full = random_market(hours=900)
    if lost == "taker":
        absent = replace(
            full,
            klines=full.klines.with_columns(
                NO_VOLUME.alias("taker_buy_volume"),
                NO_VOLUME.alias("taker_buy_quote_volume"),
                NO_VOLUME.alias("quote_volume"),
                NO_TRADES.alias("trades"),
            ),
        )
    elif lost == "SOLUSDT":
        absent = FeatureSources(
            **{f.name: getattr(full, f.name).filter(pl.col("symbol") != lost) for f in fields(full)}
        )
    else:
        absent = replace(full, **{lost: getattr(full, lost).clear()})
    with_it, without = (build(sources, start=hour(880)) for sources in (full, absent))
    gone = [name for name in NAMES if belongs(name)]
    kept = [name for name in NAMES if not belongs(name)]
    assert gone
    assert without.select(pl.col(gone).is_null().all()).row(0) == (True,) * len(gone)
    assert_frame_equal(with_it.select(kept), without.select(kept), check_exact=True)
    assert with_it["coverage"].to_list() == [1.0] * 20
    assert without["coverage"].to_list() == pytest.approx([len(kept) / len(NAMES)] * 20)


def test_a_complete_market_has_every_feature_after_the_lookback() -> None:
    rows = build(random_market(hours=820))
    assert rows.filter(pl.col("decision_time") > BEGIN + LOOKBACK)["coverage"].min() == 1.0
    assert rows["coverage"][0] < 0.2


def test_an_hour_has_a_row_only_when_its_own_bar_is_known() -> None:
    rows = ragged_features()["decision_time"]
    in_time = ragged().klines.filter((pl.col("symbol") == MAIN) & (pl.col("available_at") <= pl.col("close_time")))
    assert rows.to_list() == in_time["close_time"].to_list()
    assert hour(991) not in rows


def test_an_hour_with_a_missing_quarter_has_no_row() -> None:
    market = random_market(hours=40, base_interval="15m")
    torn = replace(market, klines=market.klines.filter(pl.col("open_time") != hour(20) + timedelta(minutes=15)))
    missing = set(build(market, base_interval="15m")["decision_time"]) - set(
        build(torn, base_interval="15m")["decision_time"]
    )
    assert missing == {hour(21)}


def test_quarter_hour_bars_give_the_features_of_their_hourly_bars() -> None:
    market = random_market(hours=830, base_interval="15m")
    columns = list(market.klines.columns)

    def hourly(frame: pl.DataFrame) -> pl.DataFrame:
        whole = aggregate(frame, interval="1h", base_interval="15m").with_columns(
            pl.lit("1h").alias("interval"), pl.lit("archive").alias("source"), pl.lit("simulated").alias("provenance")
        )
        return whole.select([name for name in columns if name in whole.columns])

    bars = ("klines", "mark_klines", "spot_klines", "premium_klines")
    larger = replace(market, **{n: hourly(getattr(market, n)) for n in bars})
    left, right = build(market, base_interval="15m", start=hour(810)), build(larger, start=hour(810))
    assert_frame_equal(left, right, check_exact=True)


def test_the_order_of_a_tables_symbols_changes_nothing() -> None:
    """A table sorted by symbol is cut, one sorted by time is searched."""
    market = random_market(hours=40)
    by_time = FeatureSources(**{f.name: getattr(market, f.name).sort("available_at", "symbol") for f in fields(market)})
    assert_frame_equal(build(by_time), build(market), check_exact=True)


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_a_settlement_without_a_rate_is_no_settlement(unknown: float | None) -> None:
    market = random_market(hours=60)
    is_it = (pl.col("symbol") == MAIN) & (pl.col("funding_time") == hour(48))
    rates = market.funding_rates
    holed = rates.with_columns(pl.when(~is_it).then("funding_rate").otherwise(unknown).alias("funding_rate"))
    rows = build(replace(market, funding_rates=holed))
    assert_frame_equal(rows, build(replace(market, funding_rates=rates.filter(~is_it))), check_exact=True)
    assert not rows.equals(build(market))


def test_start_is_exclusive_and_end_inclusive() -> None:
    rows = build(random_market(hours=60), start=hour(10), end=hour(13))
    assert rows["decision_time"].to_list() == [hour(11), hour(12), hour(13)]
    assert rows["available_at"].to_list() == rows["decision_time"].to_list()


def test_rows_conform_to_the_table_contract() -> None:
    contract = features_contract(symbol=MAIN, cross_symbols=CROSS)
    assert contract.name == "features"
    assert contract.key == ("symbol", "decision_time")
    assert contract.conform(ragged_features()).columns == list(contract.schema)


def test_no_history_at_all_gives_no_rows() -> None:
    market = random_market(hours=3)
    nothing = FeatureSources(**{f.name: getattr(market, f.name).clear() for f in fields(market)})
    contract = features_contract(symbol=MAIN, cross_symbols=CROSS)
    assert contract.conform(build(nothing)).height == 0


def test_every_family_of_the_issue_is_there_and_described() -> None:
    specs = feature_specs(symbol=MAIN, cross_symbols=CROSS)
    assert len(specs) >= 150
    assert {spec.family for spec in specs} == {
        *("momentum", "trend", "oscillators", "volatility", "volume", "order_flow", "candles", "seasonality"),
        *("funding", "open_interest", "basis", "premium", "positioning", "timeframes", "cross"),
    }
    assert all(spec.unit and spec.description.endswith(".") for spec in specs)
    assert len(set(NAMES)) == len(NAMES)
    assert DEFINITION_VERSION


def test_no_feature_is_infinite_when_prices_and_volumes_stand_still() -> None:
    """An exchange halt prints bars of one price and no volume; a division by zero is a missing value."""
    market = random_market(hours=200)
    flat = market.klines.with_columns(
        *[pl.lit(100.0).alias(name) for name in ("open", "high", "low", "close")],
        *[pl.lit(0.0).alias(name) for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")],
    )
    rows = build(replace(market, klines=flat))
    assert rows.select(pl.col(NAMES).is_infinite().any() | pl.col(NAMES).is_nan().any()).row(0).count(True) == 0
    assert rows["volume_ratio_24h"].null_count() == rows.height


@cache
def halted() -> tuple[FeatureSources, pl.DataFrame]:
    """A market that stands still from hour 900 to 1300, at one price and without volume; and its features."""
    market = random_market(hours=1_450)
    still = pl.col("open_time").is_between(hour(900), hour(1_300), closed="left")

    def stopped(frame: pl.DataFrame) -> pl.DataFrame:
        last = pl.when(~still).then(pl.col("close")).forward_fill().over("symbol")
        prices = [pl.when(still).then(last).otherwise(pl.col(n)).alias(n) for n in ("open", "high", "low", "close")]
        volumes = [name for name in VOLUME_COLUMNS if name in frame.columns]
        return frame.with_columns(*prices, *[pl.when(~still).then(pl.col(n)).otherwise(0).alias(n) for n in volumes])

    bars = {name: stopped(getattr(market, name)) for name in ("klines", "spot_klines", "mark_klines")}
    market = replace(market, **bars)
    return market, build(market)


@pytest.mark.parametrize("at", [924, 970, 1_013, 1_077, 1_154, 1_231, 1_300, 1_301, 1_304, 1_325, 1_380, 1_450])
def test_the_last_row_equals_the_batch_in_and_after_a_halt(at: int) -> None:
    """Running sums keep the rounding of what left them: a money flow of 0.2 in the batch was 2.0 in the last row."""
    market, batch = halted()
    alone = build(market.since(hour(at) - LOOKBACK).until(hour(at)), start=hour(at - 1), end=hour(at))
    assert worst(alone, batch.filter(pl.col("decision_time") == hour(at)), relative=1e-5, absolute=1e-7) == []


def test_a_ratio_of_nothing_to_nothing_is_missing_in_a_halt() -> None:
    rows = halted()[1].filter(pl.col("decision_time").is_between(hour(1_100), hour(1_299)))
    ratios = (
        "money_flow",
        "signed_volume",
        "chaikin",
        "taker_imbalance",
        "volume_ratio_24",
        "rsi_",
        "cci_",
        "downside",
    )
    ratios += ("vwap", "trades_ratio", "trade_size", "illiquidity", "bollinger_position", "directional", "efficiency")
    missing = [name for name in NAMES if any(name.startswith((part, f"spot_{part}")) for part in ratios)]
    assert len(missing) > 40
    assert [name for name in missing if rows[name].null_count() < rows.height] == []
    assert (
        rows.select(pl.col("kurtosis_168h", "skew_168h", "parkinson_vol_168h", "atr_14h").abs().max()).row(0)
        == (0.0,) * 4
    )


def test_model_inputs_leave_out_what_the_history_does_not_have() -> None:
    """Recorded history has no premium; 22 columns of nulls would trip the coverage gate of every promotion."""
    market = random_market(hours=840)
    rows = build(replace(market, premium_klines=market.premium_klines.clear()), start=hour(810))
    names = available_feature_names(rows, symbol=MAIN, cross_symbols=CROSS, min_coverage=0.8)
    assert names == tuple(name for name in NAMES if not name.startswith("premium"))


def test_a_feature_is_an_input_from_exactly_the_asked_share_on() -> None:
    rows = build(random_market(hours=840), start=hour(830))
    early = pl.int_range(pl.len()) < 3
    rows = rows.with_columns(pl.when(~early).then(pl.col("rsi_14h")).alias("rsi_14h"))
    assert rows.height == 10

    def chosen(share: float) -> tuple[str, ...]:
        return available_feature_names(rows, symbol=MAIN, cross_symbols=CROSS, min_coverage=share)

    assert chosen(0.7) == NAMES
    assert chosen(0.71) == tuple(name for name in NAMES if name != "rsi_14h")


def test_no_rows_choose_no_inputs() -> None:
    with pytest.raises(ContractViolation, match="no feature rows"):
        available_feature_names(ragged_features().clear(), symbol=MAIN, cross_symbols=CROSS, min_coverage=0.5)


def test_a_symbol_cannot_be_its_own_cross_symbol() -> None:
    with pytest.raises(SettingsInvalid, match="ETHUSDT"):
        feature_specs(symbol=MAIN, cross_symbols=(MAIN,))


def test_two_cross_symbols_with_one_prefix_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match="share a prefix"):
        feature_specs(symbol=MAIN, cross_symbols=("BTCUSDT", "BTCUSDC"))


def test_mixed_origins_are_refused() -> None:
    market = random_market(hours=30)
    mixed = replace(market, funding_rates=market.funding_rates.with_columns(pl.lit("binance").alias("provenance")))
    with pytest.raises(ProvenanceMismatch, match="binance, simulated"):
        build(mixed)
