"""Tests of models.figures.horizon_figures: each figure on its own rows, beside its baselines, in plain JSON."""

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from eth_pipeline.labels.direction import build_labels
from eth_pipeline.models.figures.horizon_figures import Rivals, horizon_report
from eth_pipeline.models.figures.metrics import cost_outcome
from eth_pipeline.models.figures.report import Estimate, HorizonReport
from eth_pipeline.models.out_of_fold import OOF_SCHEMA
from eth_pipeline.settings import TrainingSettings
from eth_pipeline_tests.planted_history import HOUR

SETTINGS = TrainingSettings(bootstrap_samples=100, seed=11)
ROWS = 168 * 60
START = np.datetime64("2023-06-01", "us")


def forecasts(*, skill: float, seed: int = 1, rows: int = ROWS, **columns: np.ndarray) -> pl.DataFrame:
    """Independent hours whose volatility changes, and a forecast that knows `skill` of the direction."""
    random = np.random.default_rng(seed)
    volatility = np.exp(0.8 * random.standard_normal(rows))
    drift = random.standard_normal(rows)
    forward_return = 0.002 * volatility * (random.standard_normal(rows) + skill * drift)
    probability = 1 / (1 + np.exp(-0.1 - 1.6 * skill * drift))
    values: dict[str, Any] = {
        "decision_time": pl.Series(START + np.arange(rows) * HOUR).dt.replace_time_zone("UTC"),
        "horizon_hours": np.full(rows, 5),
        "fold": np.arange(rows) // 2_000,
        "probability": probability,
        "raw_probability": probability,
        "up": (forward_return > 0).astype(np.int8),
        "forward_return": forward_return,
        "late_return": np.roll(forward_return, -1),
        "volatility_probability": 0.5 + 0.01 * np.argsort(np.argsort(volatility)) / rows,
        "constant_probability": np.full(rows, 0.5),
        "position": np.sign(probability - 0.5) * (np.abs(probability - 0.5) > 0.2),
    }
    frame = pl.DataFrame({**values, **columns})
    return frame.select(pl.col(name).cast(dtype) for name, dtype in OOF_SCHEMA.items())


def volatility_of(oof: pl.DataFrame) -> pl.DataFrame:
    return oof.select("decision_time", volatility="volatility_probability")


def report(oof: pl.DataFrame, rivals: Rivals | None = None) -> HorizonReport:
    return horizon_report(oof, horizon_hours=5, settings=SETTINGS, rivals=rivals)


def bounds(estimate: Estimate | None) -> tuple[float, float]:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


@pytest.fixture(scope="module")
def skilled() -> HorizonReport:
    oof = forecasts(skill=0.15)
    return report(oof, Rivals(volatility=volatility_of(oof)))


@pytest.fixture(scope="module")
def unskilled() -> HorizonReport:
    """A forecast that knows nothing of the direction and moves with volatility."""
    oof = forecasts(skill=0.0)
    oof = oof.with_columns(probability=pl.col("volatility_probability"))
    return report(oof, Rivals(volatility=volatility_of(oof)))


def test_the_cost_outcome_is_the_label_that_pays() -> None:
    """Two definitions of one thing: `pays_*h` of the labels and the report's must not drift apart."""
    returns = np.array([-0.02, -0.0014, -0.00139, 0.0, 0.001, 0.00139, 0.00141, 0.5])
    open_time = pl.Series(START + np.arange(8) * HOUR).dt.replace_time_zone("UTC")
    bars = pl.DataFrame({"open_time": open_time, "open": 2_000.0, "close": 2_000.0 * np.exp(returns)}).with_columns(
        symbol=pl.lit("ETHUSDT"),
        interval=pl.lit("1h"),
        provenance=pl.lit("simulated"),
        close_time=pl.col("open_time").dt.offset_by("1h"),
    )
    labels = build_labels(
        mark_klines=bars,
        klines=bars,
        symbol="ETHUSDT",
        base_interval="1h",
        horizons_hours=(1,),
        round_trip_cost_bps=14.0,
    ).drop_nulls("pays_1h")
    ours = cost_outcome(labels["forward_return_1h"].to_numpy(), round_trip_cost_bps=14.0)
    np.testing.assert_array_equal(ours, labels["pays_1h"].to_numpy())
    assert ours[[0, 2, 3, 6]].tolist() == [-1.0, 0.0, 0.0, 1.0]


def test_the_cost_label_is_judged_among_the_moves_that_exceed_the_cost() -> None:
    oof = forecasts(skill=0.15)
    found = report(oof).cost_label
    forward, probability = oof["forward_return"].to_numpy(), oof["probability"].to_numpy()
    large = np.abs(forward) > 0.0014
    assert found.paying_share == pytest.approx(large.mean())
    assert found.auc.value == pytest.approx(roc_auc_score(forward[large] > 0, probability[large]))
    assert found.auc_long_pays.value == pytest.approx(roc_auc_score(forward > 0.0014, probability))
    assert found.auc_short_pays.value == pytest.approx(roc_auc_score(forward < -0.0014, 1 - probability))
    assert found.auc_long_pays_volatility is None


def test_each_year_is_judged_on_its_own_rows() -> None:
    oof = forecasts(skill=0.15)
    found = report(oof).by_year
    assert sorted(found) == ["2023", "2024"]
    for year, figures in found.items():
        rows = oof.filter(pl.col("decision_time").dt.year() == int(year))
        paying = rows.filter(pl.col("forward_return").abs() > 0.0014)
        assert figures.rows == rows.height
        assert figures.auc.value == pytest.approx(roc_auc_score(rows["up"], rows["probability"]))
        assert figures.auc_cost_label.value == pytest.approx(roc_auc_score(paying["up"], paying["probability"]))


def test_volatility_alone_passes_for_skill_one_versus_rest_but_not_among_the_moves_that_pay(
    unskilled: HorizonReport,
) -> None:
    """The reviewed system's 0.550 on its cost label lay below volatility's 0.567."""
    found = unskilled.cost_label
    assert bounds(found.auc_long_pays)[0] > 0.6
    assert found.auc_long_pays == found.auc_long_pays_volatility, "and the baseline beside it shows why"
    low, high = bounds(found.auc)
    assert low < 0.5 < high
    assert found.auc_minus_volatility.value == 0.0


def test_skill_shows_in_every_figure(skilled: HorizonReport) -> None:
    assert bounds(skilled.cost_label.auc)[0] > 0.53
    assert bounds(skilled.cost_label.auc_minus_volatility)[0] > 0
    assert bounds(skilled.log_loss_minus_constant)[1] < 0
    means = [bounds(decile.mean_return_bps) for decile in skilled.deciles]
    assert means[0][1] < means[-1][0]
    assert bounds(skilled.by_year["2023"].auc)[0] > 0.5
    assert bounds(skilled.by_year["2024"].auc_cost_label)[0] > 0.5


def test_a_random_walk_shows_in_none(unskilled: HorizonReport) -> None:
    for figure in (unskilled.auc, unskilled.cost_label.auc, *(year.auc for year in unskilled.by_year.values())):
        low, high = bounds(figure)
        assert low < 0.5 < high
    low, high = bounds(unskilled.deciles[0].mean_return_bps)
    assert low < 0 < high


def test_losses_are_paired_and_what_is_shown_is_their_difference(skilled: HorizonReport) -> None:
    shown = skilled.log_loss_minus_constant.value
    assert shown == pytest.approx(skilled.log_loss - skilled.log_loss_constant)
    constant = forecasts(skill=0.15, probability=np.full(ROWS, 0.5))
    assert report(constant).log_loss_minus_constant.model_dump() == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_deciles_hold_every_row_once_and_order_the_forecasts(skilled: HorizonReport) -> None:
    assert len(skilled.deciles) == 10
    assert sum(decile.rows for decile in skilled.deciles) == skilled.rows == ROWS
    forecast = [decile.probability for decile in skilled.deciles if decile.probability is not None]
    assert forecast == sorted(forecast)
    assert len(forecast) == 10
    bottom, top = skilled.deciles[0].mean_return_bps.value, skilled.deciles[-1].mean_return_bps.value
    assert bottom is not None
    assert top is not None
    assert skilled.decile_spread_bps.value == pytest.approx(top - bottom, abs=0.2)


def test_a_constant_forecast_has_one_decile_and_nine_empty_ones() -> None:
    found = report(forecasts(skill=0.0, probability=np.full(ROWS, 0.5)))
    assert sorted(decile.rows for decile in found.deciles) == [0] * 9 + [ROWS]
    assert next(decile for decile in found.deciles if not decile.rows).probability is None


def test_bias_is_the_mean_forecast_less_the_share_of_up() -> None:
    oof = forecasts(skill=0.15)
    raised = oof.with_columns(pl.col("probability") + 0.05)
    before, after = report(oof).calibration_bias, report(raised).calibration_bias
    assert before.value is not None
    assert after.value == pytest.approx(before.value + 0.05)
    assert bounds(after)[0] > 0


def test_the_champion_is_compared_on_the_hours_that_both_forecast() -> None:
    oof = forecasts(skill=0.15)
    worse = oof.with_columns(probability=pl.lit(0.7) * pl.col("probability") + 0.3 * pl.col("volatility_probability"))
    random = np.random.default_rng(9)
    rival = worse.with_columns(probability=pl.Series(random.random(ROWS)))[3_000:]
    other_horizon = oof.with_columns(horizon_hours=pl.lit(12, dtype=pl.Int32))
    found = report(oof, Rivals(champion=pl.concat([rival, other_horizon]))).champion
    assert found is not None
    assert found.rows == ROWS - 3_000
    assert found.auc.value == pytest.approx(roc_auc_score(oof["up"][3_000:], oof["probability"][3_000:]))
    assert found.auc_champion.value == pytest.approx(roc_auc_score(oof["up"][3_000:], rival["probability"]))
    assert bounds(found.auc_minus_champion)[0] > 0
    itself = report(oof, Rivals(champion=oof)).champion
    assert itself is not None
    assert itself.auc_minus_champion.model_dump() == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_champion_of_other_hours_is_no_comparison() -> None:
    oof = forecasts(skill=0.15)
    later = oof.with_columns(pl.col("decision_time").dt.offset_by("10y"))
    assert report(oof, Rivals(champion=later)).champion is None
    assert report(oof).champion is None


def test_hours_without_a_volatility_count_as_the_median() -> None:
    oof = forecasts(skill=0.15)
    holes = volatility_of(oof).with_columns(
        volatility=pl.when(pl.int_range(pl.len()) % 2 == 0).then(float("nan")).otherwise("volatility")
    )
    found = report(oof, Rivals(volatility=holes[: ROWS - 100])).cost_label.auc_long_pays_volatility
    assert found is not None
    assert found.value is not None
    assert 0.55 < found.value < 0.7


@pytest.mark.parametrize("rows", [120, 168 * 3, ROWS])
@pytest.mark.parametrize("kind", ["skilled", "constant", "only up", "never moves"])
def test_nothing_in_the_report_is_nan_whatever_the_rows(rows: int, kind: str) -> None:
    columns = {
        "skilled": {},
        "constant": {"probability": np.full(rows, 0.5), "position": np.zeros(rows)},
        "only up": {"up": np.ones(rows), "forward_return": np.full(rows, 0.01)},
        "never moves": {"forward_return": np.zeros(rows), "late_return": np.full(rows, np.nan)},
    }[kind]
    oof = forecasts(skill=0.15, rows=rows, **columns)
    found = report(oof, Rivals(volatility=volatility_of(oof), champion=oof, tries=7))
    text = found.model_dump_json()
    assert HorizonReport.model_validate_json(text) == found

    def check(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)
        elif isinstance(value, float):
            assert math.isfinite(value)

    check(found.model_dump(mode="python") | {"deciles": [each.model_dump() for each in found.deciles]})
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the report"))
