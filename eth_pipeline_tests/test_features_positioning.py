"""Positioning features: logs of ratios, known five minutes late, forgotten after three hours."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import feature_specs
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market

HOUR = timedelta(hours=1)
MARKET = random_market(hours=420, seed=5, symbols=(MAIN,))
COLUMNS = {
    "accounts": "account_ratio",
    "top_accounts": "top_account_ratio",
    "top_positions": "top_position_ratio",
    "taker": "taker_ratio",
}
LOG = {name: np.log(MARKET.positioning[column].to_numpy()) for name, column in COLUMNS.items()}
"""Index h of a ratio: it describes BEGIN + h hours, and is known five minutes later."""
NAMES = [spec.name for spec in feature_specs(symbol=MAIN, cross_symbols=()) if spec.family == "positioning"]


def build(market: FeatureSources) -> pl.DataFrame:
    return build_features(market, symbol=MAIN, cross_symbols=(), base_interval="1h")


ROWS = build(MARKET)


def value(name: str, hours: int, rows: pl.DataFrame = ROWS) -> float | None:
    """The feature at BEGIN + `hours`."""
    return rows.filter(pl.col("decision_time") == BEGIN + hours * HOUR)[name].item()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_ratio_is_its_logarithm_of_the_hour_before(name: str) -> None:
    """The snapshot of the full hour itself comes five minutes after it."""
    log, h = LOG[name], 400 - 1
    week = log[h - 167 : h + 1]
    assert value(f"positioning_{name}", 400) == pytest.approx(log[h], rel=1e-5)
    for back in (1, 4, 24):
        assert value(f"positioning_{name}_change_{back}h", 400) == pytest.approx(log[h] - log[h - back], rel=1e-4)
    zscore = (log[h] - week.mean()) / week.std(ddof=1)
    assert value(f"positioning_{name}_zscore_168h", 400) == pytest.approx(zscore, rel=1e-4)


def test_top_traders_are_set_against_all_accounts() -> None:
    h = 399
    assert value("positioning_top_minus_all", 400) == pytest.approx(LOG["top_positions"][h] - LOG["accounts"][h], 1e-5)
    assert value("positioning_top_size", 400) == pytest.approx(LOG["top_positions"][h] - LOG["top_accounts"][h], 1e-5)
    assert value("positioning_taker_24h", 400) == pytest.approx(LOG["taker"][h - 23 : h + 1].mean(), 1e-4)


def test_twice_the_longs_and_twice_the_shorts_are_equally_far_from_balance() -> None:
    ratios = list(COLUMNS.values())
    mirrored = build(replace(MARKET, positioning=MARKET.positioning.with_columns(pl.col(ratios).pow(-1))))
    plain = [name for name in NAMES if "price_divergence" not in name]
    ours, theirs = (rows.tail(200).select(plain).to_numpy() for rows in (ROWS, mirrored))
    assert np.allclose(ours, -theirs, rtol=1e-4, atol=1e-5)


def test_a_snapshot_counts_for_three_hours() -> None:
    stopped = MARKET.positioning.filter(pl.col("period_end") <= BEGIN + 400 * HOUR)
    rows = build(replace(MARKET, positioning=stopped))
    found = [value("positioning_accounts", hours, rows) for hours in (401, 402, 403, 404)]
    assert found[:3] == pytest.approx([LOG["accounts"][400]] * 3, rel=1e-5)
    assert found[3] is None


def test_a_missing_taker_ratio_takes_only_the_taker_features() -> None:
    """The endpoint of the taker ratio labels another instant and fails alone."""
    market = replace(MARKET, positioning=MARKET.positioning.with_columns(pl.lit(None, pl.Float64).alias("taker_ratio")))
    newest = build(market).tail(1)
    assert {name for name in NAMES if newest[name].item() is None} == {name for name in NAMES if "_taker" in name}
