"""The comparison with the champion: on the same hours, with an interval, or not at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.lake import Lake
from eth_pipeline.models.figures.report import Estimate
from eth_pipeline.registry.promotions.champion import compare, store_oof

START = datetime(2024, 1, 1, tzinfo=UTC)
CHAMPION, CANDIDATE = "c" * 64, "d" * 64
ORIGIN = {"symbol": "ETHUSDT", "provenance": "replay"}


def oof(*, skill: float, hours: int = 3_000, first: int = 0, seed: int = 1) -> pl.DataFrame:
    """Forecasts of `hours` hours from hour `first` on; the outcomes of an hour are the same in every call."""
    number = np.arange(first, first + hours)
    outcome = np.random.default_rng(99).standard_normal(20_000)[number]
    noise = np.random.default_rng(seed).standard_normal(20_000)[number]
    score = skill * outcome + noise
    return pl.DataFrame(
        {
            "horizon_hours": 5,
            "decision_time": [START + timedelta(hours=int(n)) for n in number],
            "fold": 0,
            "probability": 1 / (1 + np.exp(-score)),
            "up": (outcome > 0).astype(np.int8),
            "forward_return": outcome * 0.01,
        },
        schema_overrides={name: OOF_FORECASTS.schema[name] for name in ("horizon_hours", "decision_time", "fold")},
    )


def compared(lake: Lake, *, horizon_hours: int = 5) -> Estimate | None:
    return compare(
        lake,
        symbol=ORIGIN["symbol"],
        candidate=CANDIDATE,
        champion=CHAMPION,
        horizon_hours=horizon_hours,
        samples=200,
        seed=3,
    )


def bounds(estimate: Estimate | None) -> tuple[float, float, float]:
    """Value, lower and upper bound of an estimate that has all three."""
    assert estimate is not None
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.value, estimate.low, estimate.high


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that holds a champion of moderate skill."""
    lake = Lake(str(tmp_path / "lake"))
    store_oof(lake, oof(skill=0.3, seed=1), fingerprint=CHAMPION, **ORIGIN)
    return lake


def test_a_better_candidate_lies_above_the_champion_with_its_whole_interval(lake: Lake) -> None:
    store_oof(lake, oof(skill=0.8, seed=2), fingerprint=CANDIDATE, **ORIGIN)
    value, low, high = bounds(compared(lake))
    assert 0 < low < value < high


def test_a_worse_candidate_lies_below_it(lake: Lake) -> None:
    store_oof(lake, oof(skill=0.0, seed=2), fingerprint=CANDIDATE, **ORIGIN)
    value, low, high = bounds(compared(lake))
    assert low < value < high < 0


def test_the_same_forecasts_differ_by_exactly_nothing(lake: Lake) -> None:
    store_oof(lake, oof(skill=0.3, seed=1), fingerprint=CANDIDATE, **ORIGIN)
    assert bounds(compared(lake)) == (0.0, 0.0, 0.0)


def test_only_the_hours_that_both_forecast_count(lake: Lake) -> None:
    """A candidate evaluated on an easier year must not win by that year."""
    champion_hours = oof(skill=0.3, seed=1)
    easy = oof(skill=50.0, first=3_000, hours=2_000, seed=2)
    store_oof(lake, pl.concat([champion_hours, easy]), fingerprint=CANDIDATE, **ORIGIN)
    assert bounds(compared(lake)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("common", "enough"), [(999, False), (1_000, True)])
def test_fewer_than_a_thousand_common_hours_are_no_comparison(lake: Lake, common: int, enough: bool) -> None:
    store_oof(lake, oof(skill=0.3, first=3_000 - common, hours=common + 500, seed=2), fingerprint=CANDIDATE, **ORIGIN)
    assert (compared(lake) is not None) is enough


def test_hours_without_an_outcome_do_not_count_as_common(lake: Lake) -> None:
    rows = oof(skill=0.3, seed=1).head(1_000)
    store_oof(lake, rows.with_columns(up=pl.lit(None, pl.Int8)), fingerprint=CANDIDATE, **ORIGIN)
    assert compared(lake) is None


def test_a_champion_or_horizon_without_stored_forecasts_is_no_comparison(lake: Lake, tmp_path: Path) -> None:
    store_oof(lake, oof(skill=0.3, seed=2), fingerprint=CANDIDATE, **ORIGIN)
    assert compared(lake, horizon_hours=24) is None
    assert compared(Lake(str(tmp_path / "empty"))) is None


def test_the_same_seed_gives_the_same_interval(lake: Lake) -> None:
    store_oof(lake, oof(skill=0.5, seed=2), fingerprint=CANDIDATE, **ORIGIN)
    assert compared(lake) == compared(lake)


def test_storing_a_candidate_twice_changes_nothing(lake: Lake) -> None:
    rows = oof(skill=0.5, seed=2).with_columns(forward_return=pl.lit(float("nan")))
    first = store_oof(lake, rows, fingerprint=CANDIDATE, **ORIGIN)
    assert store_oof(lake, rows, fingerprint=CANDIDATE, **ORIGIN) == first
    stored = lake.read(OOF_FORECASTS, where=pl.col("fingerprint") == CANDIDATE)
    assert stored["forward_return"].null_count() == rows.height


def test_forecasts_of_another_symbol_are_never_compared(lake: Lake) -> None:
    store_oof(lake, oof(skill=0.3, seed=2), fingerprint=CANDIDATE, symbol="BTCUSDT", provenance="replay")
    assert compared(lake) is None
