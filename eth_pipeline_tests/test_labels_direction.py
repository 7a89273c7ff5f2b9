"""Labels: equal to a naive loop, null where unknown, entered at the next bar, two-sided."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline.labels.direction import build_labels, labels_contract
from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market

HOUR = timedelta(hours=1)
HORIZONS = (5, 12, 24)
COST_BPS = 14.0


def labels(market: FeatureSources, base_interval: str = "1h") -> pl.DataFrame:
    return build_labels(
        mark_klines=market.mark_klines,
        klines=market.klines,
        symbol=MAIN,
        base_interval=base_interval,
        horizons_hours=HORIZONS,
        round_trip_cost_bps=COST_BPS,
    )


def without(frame: pl.DataFrame, *open_hours: int) -> pl.DataFrame:
    return frame.filter(~pl.col("open_time").is_in([BEGIN + h * HOUR for h in open_hours]))


def at(rows: pl.DataFrame, hours: int) -> dict[str, object]:
    return rows.filter(pl.col("decision_time") == BEGIN + hours * HOUR).row(0, named=True)


@pytest.mark.parametrize("base_interval", ["1h", "15m"])
def test_labels_equal_a_naive_loop(base_interval: str) -> None:
    market = random_market(hours=80, base_interval=base_interval)
    mark = market.mark_klines.filter(pl.col("symbol") == MAIN)
    opens: dict[datetime, float] = dict(mark.select("open_time", "open").iter_rows())
    closes: dict[datetime, float] = dict(mark.select("close_time", "close").iter_rows())
    rows = labels(market, base_interval)
    assert rows["decision_time"].to_list() == [BEGIN + h * HOUR for h in range(81)]
    for row in rows.iter_rows(named=True):
        now = row["decision_time"]
        assert row["price_source"] == "mark"
        for h in HORIZONS:
            for name, entry in (("forward", now), ("late", now + HOUR)):
                first, final = opens.get(entry), closes.get(entry + h * HOUR)
                expected = None if first is None or final is None else float(np.log(final / first))
                assert row[f"{name}_return_{h}h"] == (None if expected is None else pytest.approx(expected, rel=1e-12))
            move = row[f"forward_return_{h}h"]
            assert row[f"up_{h}h"] == (None if move is None else int(move > 0))
            pays = None if move is None else int(np.sign(move)) * (abs(move) > COST_BPS / 1e4)
            assert row[f"pays_{h}h"] == pays
            assert row[f"label_end_{h}h"] == now + h * HOUR


def test_the_future_that_is_not_here_yet_has_no_label() -> None:
    rows = labels(random_market(hours=60))
    for h in HORIZONS:
        unknown = rows.filter(pl.col(f"up_{h}h").is_null())["decision_time"]
        assert unknown.to_list() == [BEGIN + i * HOUR for i in range(60 - h + 1, 61)]
    assert rows.tail(1).select(pl.col("^(up|pays|forward_return|late_return)_.*$")).row(0) == (None,) * 12


def test_a_label_is_the_same_once_known_however_much_future_follows() -> None:
    short, long = random_market(hours=90), random_market(hours=90)
    short = short.until(BEGIN + 70 * HOUR)
    known = labels(short).filter(pl.col("up_24h").is_not_null(), pl.col("late_return_24h").is_not_null())
    assert known.height == 70 - 24
    assert known.equals(labels(long).head(known.height))


def test_a_missing_bar_gives_null_never_zero() -> None:
    """The reviewed system compared NaN with zero and so labelled every hole a fall."""
    market = random_market(hours=80)
    torn = FeatureSources(
        market.klines, without(market.mark_klines, 30), market.spot_klines, market.funding_rates, market.open_interest
    )
    rows = labels(torn)
    entry_missing, exit_missing = at(rows, 30), at(rows, 31 - 5)
    assert entry_missing["up_5h"] is None
    assert entry_missing["pays_5h"] is None
    assert entry_missing["forward_return_24h"] is None
    assert exit_missing["up_5h"] is None
    assert exit_missing["up_12h"] is not None
    assert at(rows, 29)["late_return_5h"] is None
    assert at(rows, 29)["up_5h"] is not None


def test_a_nan_price_is_a_missing_bar() -> None:
    market = random_market(hours=60)
    broken = pl.when(pl.col("open_time") == BEGIN + 20 * HOUR).then(float("nan"))
    mark = market.mark_klines.with_columns(broken.otherwise(pl.col("open")).alias("open"))
    rows = labels(FeatureSources(market.klines, mark, market.spot_klines, market.funding_rates, market.open_interest))
    assert at(rows, 20)["up_5h"] is None
    assert at(rows, 20)["forward_return_5h"] is None


def test_no_move_at_all_is_neither_up_nor_down() -> None:
    market = random_market(hours=60)
    flat = [pl.lit(100.0).alias(name) for name in ("open", "high", "low", "close")]
    rows = labels(
        FeatureSources(
            market.klines,
            market.mark_klines.with_columns(flat),
            market.spot_klines,
            market.funding_rates,
            market.open_interest,
        )
    )
    first = at(rows, 10)
    assert (first["forward_return_5h"], first["up_5h"], first["pays_5h"]) == (0.0, None, 0)


def test_a_mirrored_market_mirrors_every_label() -> None:
    """The reviewed system labelled the long side only."""
    market = random_market(hours=80)

    def mirrored(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            (1e6 / pl.col("open")).alias("open"),
            (1e6 / pl.col("low")).alias("high"),
            (1e6 / pl.col("high")).alias("low"),
            (1e6 / pl.col("close")).alias("close"),
        )

    mirror = FeatureSources(
        mirrored(market.klines),
        mirrored(market.mark_klines),
        market.spot_klines,
        market.funding_rates,
        market.open_interest,
    )
    left, right = labels(market).drop_nulls(), labels(mirror).drop_nulls()
    assert left.height > 50
    for h in HORIZONS:
        assert (left[f"up_{h}h"] + right[f"up_{h}h"]).unique().to_list() == [1]
        assert (left[f"pays_{h}h"] + right[f"pays_{h}h"]).unique().to_list() == [0]
        assert (left[f"forward_return_{h}h"] + right[f"forward_return_{h}h"]).abs().max() < 1e-9


def test_hours_before_the_first_mark_bar_use_the_last_price_and_say_so() -> None:
    market = random_market(hours=80)
    later = FeatureSources(
        market.klines,
        market.mark_klines.filter(pl.col("open_time") >= BEGIN + 40 * HOUR),
        market.spot_klines,
        market.funding_rates,
        market.open_interest,
    )
    rows = labels(later)
    assert rows.group_by("price_source", maintain_order=True).len().rows() == [("last", 40), ("mark", 41)]
    last = market.klines.filter(pl.col("symbol") == MAIN)
    close = dict(last.select("close_time", "close").iter_rows())
    open_ = dict(last.select("open_time", "open").iter_rows())
    expected = np.log(close[BEGIN + 43 * HOUR] / open_[BEGIN + 38 * HOUR])
    assert at(rows, 38)["forward_return_5h"] == pytest.approx(expected)


def test_rows_conform_to_the_contract_and_are_complete_after_their_last_label() -> None:
    contract = labels_contract(horizons_hours=HORIZONS)
    rows = contract.conform(labels(random_market(hours=60)))
    assert contract.name == "labels"
    assert (rows["available_at"] - rows["decision_time"]).unique().to_list() == [25 * HOUR]


def test_a_symbol_without_bars_has_no_labels() -> None:
    market = random_market(hours=10, symbols=("BTCUSDT",))
    assert labels(market).height == 0
    assert labels(market).columns == list(labels_contract(horizons_hours=HORIZONS).schema)


def test_bars_of_two_origins_are_refused() -> None:
    market = random_market(hours=10)
    mixed = FeatureSources(
        market.klines.with_columns(pl.lit("replay").alias("provenance")),
        market.mark_klines,
        market.spot_klines,
        market.funding_rates,
        market.open_interest,
    )
    with pytest.raises(ProvenanceMismatch, match="replay, simulated"):
        labels(mixed)
