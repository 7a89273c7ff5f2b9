"""Tests of eth_pipeline.models.sizing.quantile, quantile_forest and the quantile part of sizing_report."""

from dataclasses import fields, replace

import numpy as np
import onnxruntime
import polars as pl
import pytest
from sklearn.metrics import mean_pinball_loss

from eth_pipeline.errors import ParityFailed, SettingsInvalid
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.figures.sizing_report import pinball_loss, quantile_horizon_report
from eth_pipeline.models.out_of_fold import QUANTILE_OOF_SCHEMA
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.sizing.quantile import (
    TrainedQuantiles,
    quantile_walk_forward,
    train_quantiles,
)
from eth_pipeline.models.trees.quantile_forest import (
    LEVELS,
    FittedQuantiles,
    QuantileParameters,
    conformal_offsets,
    fit_quantiles,
)
from eth_pipeline.settings import TrainingSettings

HOUR = np.timedelta64(1, "h")
VOLATILITY = "realised_vol_24h"
SETTINGS = TrainingSettings(
    horizons_hours=(5,), embargo_hours=12, refit_every_hours=1_000, min_train_hours=2_000, bootstrap_samples=100
)
QUICK = QuantileParameters(leaves=5, min_rows_per_leaf=100, feature_share=1.0, learning_rate=0.1, rounds=15, threads=1)
EVERY = {5: np.arange(3_000)}


def history(rows: int = 5_000, *, spread: float, seed: int) -> TrainingSet:
    """Returns whose scale is volatility times exp(spread * skill); at spread 0 volatility is all there is to know."""
    random = np.random.default_rng(seed)
    skill = np.zeros(rows + 5)
    shocks = random.standard_normal(rows + 5)
    for hour in range(1, rows + 5):
        skill[hour] = 0.98 * skill[hour - 1] + np.sqrt(1 - 0.98**2) * shocks[hour]
    volatility = 0.007 * np.exp(0.4 * np.sin(np.arange(rows + 5) / 200))
    steps = volatility * np.exp(spread * skill) * random.standard_normal(rows + 5)
    path = np.concatenate([[0.0], np.cumsum(steps)])
    forward = path[5 : 5 + rows] - path[:rows]
    decision_time = np.datetime64("2022-01-01", "us") + np.arange(rows) * HOUR
    matrix = np.column_stack([random.standard_normal((rows, 2)), volatility[:rows], skill[:rows]]).astype(np.float32)
    matrix[random.random(rows) < 0.1, 3] = np.nan
    matrix[::250, 2] = np.nan
    target = HorizonTarget((forward > 0).astype(np.float32), forward, forward, decision_time + 5 * HOUR)
    names = ("noise", "other_noise", VOLATILITY, "skill")
    return TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, {5: target})


def usable(data: TrainingSet, rows: np.ndarray) -> dict[int, np.ndarray]:
    return {5: rows[np.isfinite(data.column(VOLATILITY)[rows])]}


def fit(data: TrainingSet, parameters: QuantileParameters = QUICK, *, seed: int = 1) -> FittedQuantiles:
    rows = usable(data, EVERY[5])
    return fit_quantiles(data, rows, parameters=parameters, volatility_feature=VOLATILITY, seed=seed)[5]


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return history(spread=0.6, seed=1)


@pytest.fixture(scope="module")
def fitted(data: TrainingSet) -> FittedQuantiles:
    return fit(data)


@pytest.fixture(scope="module")
def trained(data: TrainingSet) -> TrainedQuantiles:
    return train_quantiles(data, settings=SETTINGS, parameters=QUICK)


def test_pinball_loss_is_sklearns() -> None:
    random = np.random.default_rng(2)
    outcome, forecast = random.standard_normal((2, 500))
    for level in LEVELS:
        expected = mean_pinball_loss(outcome, forecast, alpha=level)
        assert pinball_loss(outcome, forecast, level=level).mean() == pytest.approx(expected, abs=1e-12)


def test_planted_spread_beats_volatility_and_covers_what_it_says(trained: TrainedQuantiles) -> None:
    (report,) = trained.report.horizons
    assert report.skill_over_volatility.low > 0
    assert report.verdict.startswith("Better")
    assert [interval.nominal for interval in report.intervals] == [0.5, 0.8, 0.9]
    for interval in report.intervals:
        assert interval.coverage.value == pytest.approx(interval.nominal, abs=0.06)
    widths = [interval.mean_width_bps for interval in report.intervals]
    assert widths == sorted(widths)
    outer = report.levels[0].skill_over_volatility.value, report.levels[-1].skill_over_volatility.value
    assert min(outer) > report.levels[3].skill_over_volatility.value  # the median was not planted


def test_random_features_have_no_skill() -> None:
    data = history(spread=0.0, seed=3)
    (report,) = train_quantiles(data, settings=SETTINGS, parameters=QUICK).report.horizons
    assert report.skill_over_volatility.value < 0.005
    assert report.skill_over_volatility.low <= 0
    assert report.verdict.startswith("Not proven")


def test_figures_of_the_report_are_those_of_its_rows(trained: TrainedQuantiles) -> None:
    (report,) = trained.report.horizons
    level = trained.oof.filter(pl.col("level") == 0.9)
    outcome = level["forward_return"].to_numpy()
    losses = {
        name: mean_pinball_loss(outcome, level[name].to_numpy(), alpha=0.9)
        for name in ("quantile", "unconditional_quantile", "volatility_quantile")
    }
    found = next(item for item in report.levels if item.level == 0.9)
    assert found.pinball_bps == pytest.approx(losses["quantile"] * 1e4)
    assert found.skill_over_unconditional.value == pytest.approx(
        1 - losses["quantile"] / losses["unconditional_quantile"]
    )
    assert found.skill_over_volatility.value == pytest.approx(1 - losses["quantile"] / losses["volatility_quantile"])
    assert found.share_below.value == pytest.approx((outcome <= level["quantile"].to_numpy()).mean())


def test_conformal_offsets_cover_exchangeable_rows_whatever_the_forecast() -> None:
    """Forecasts far too narrow and shifted; fresh rows are then covered as said, mean over 200 draws."""
    random = np.random.default_rng(4)
    forecast = np.tile(0.3 * np.linspace(-1, 1, 7) + 0.5, (600, 1))
    below = []
    for _ in range(200):
        offsets = conformal_offsets(forecast, random.standard_normal(600), levels=LEVELS)
        below.append((random.standard_normal(2_000)[:, None] <= forecast[0] + offsets).mean(axis=0))
    found = np.mean(below, axis=0)
    np.testing.assert_allclose(found, LEVELS, atol=0.006)
    assert (found[:3] <= np.array(LEVELS[:3]) + 0.001).all()  # the guarantee: never less safe than said
    assert (found[3:] >= np.array(LEVELS[3:]) - 0.001).all()


def test_conformal_ranks_are_those_of_the_paper() -> None:
    """600 outcomes 1, 2, .. around forecasts of 0: rank ceil(601 * confidence), counted from the far end below."""
    offsets = conformal_offsets(np.zeros((600, 7)), np.arange(1.0, 601.0), levels=LEVELS)
    assert offsets.tolist() == [30, 60, 150, 301, 451, 541, 571]


def test_few_rows_give_no_offset_and_the_first_window_has_none(trained: TrainedQuantiles) -> None:
    assert not conformal_offsets(np.zeros((499, 7)), np.ones(499), levels=LEVELS).any()
    first = trained.oof.filter(pl.col("fold") == pl.col("fold").min())
    raw = np.sort(first["raw_quantile"].to_numpy().reshape(-1, 7), axis=1)
    assert np.array_equal(raw, first["quantile"].to_numpy().reshape(-1, 7))
    later = trained.oof.filter(pl.col("fold") == pl.col("fold").max())
    assert (later["raw_quantile"] != later["quantile"]).all()


def test_levels_that_crossed_are_sorted(data: TrainingSet, trained: TrainedQuantiles) -> None:
    assert dict(trained.oof.schema) == QUANTILE_OOF_SCHEMA
    wild = replace(QUICK, levels=(0.45, 0.5, 0.55), min_rows_per_leaf=5, leaves=31, learning_rate=0.5)
    oof = quantile_walk_forward(data, settings=SETTINGS, parameters=wild, volatility_feature=VOLATILITY)
    raw, forecast = (oof[name].to_numpy().reshape(-1, 3) for name in ("raw_quantile", "quantile"))
    crossed = (np.diff(raw, axis=1) < 0).any(axis=1).mean()
    assert crossed > 0.2
    assert (np.diff(forecast, axis=1) >= 0).all()
    assert quantile_horizon_report(oof, horizon_hours=5, settings=SETTINGS).crossed_share == crossed


def test_no_outcome_reaches_a_forecast_before_it_is_known(data: TrainingSet) -> None:
    """The last refit is at hour 4,000 with 12 h of embargo: outcomes that end later than 3,987 must not reach it."""
    changed_return = data.targets[5].forward_return.copy()
    changed_return[3_983:] *= -7
    changed = replace(data, targets={5: replace(data.targets[5], forward_return=changed_return)})
    before, after = (
        quantile_walk_forward(each, settings=SETTINGS, parameters=QUICK, volatility_feature=VOLATILITY)
        for each in (data, changed)
    )
    told = ("raw_quantile", "quantile", "unconditional_quantile", "volatility_quantile")
    assert before.height == after.height
    assert before.select(told).equals(after.select(told))
    changed_return[3_900:] *= -7
    after = quantile_walk_forward(changed, settings=SETTINGS, parameters=QUICK, volatility_feature=VOLATILITY)
    same = (before["quantile"] == after["quantile"]).to_numpy().reshape(-1, 7)[:, 0]
    hours = before["decision_time"].to_numpy()[::7]
    assert np.array_equal(same, hours < data.decision_time[4_000])


def test_rows_outside_those_given_teach_nothing(data: TrainingSet, fitted: FittedQuantiles) -> None:
    changed = replace(data, features=data.features.copy())
    changed.features[3_000:] = 99.0
    assert fit(changed).to_onnx().onnx == fitted.to_onnx().onnx


def test_the_export_equals_its_boosters_on_every_probe(data: TrainingSet, fitted: FittedQuantiles) -> None:
    sample = data.features[usable(data, EVERY[5])[5]]
    probes = {5: fitted.probes(sample, seed=1)}
    report = check_parity({5: fitted.to_onnx()}, lambda rows, _: fitted.forecast(rows), probes)
    assert report.rows_at_thresholds > 1_000
    assert report.max_abs_difference < 1e-7
    other = fit(data, seed=2, parameters=replace(QUICK, rounds=14))
    with pytest.raises(ParityFailed):
        check_parity({5: other.to_onnx()}, lambda rows, _: fitted.forecast(rows), probes)


def run(fitted: FittedQuantiles, rows: np.ndarray) -> np.ndarray:
    model = fitted.to_onnx()
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    return session.run([model.output_name], {model.input_name: rows})[0]


def test_a_missing_volatility_has_no_forecast_and_a_tiny_one_the_floors(
    data: TrainingSet, fitted: FittedQuantiles
) -> None:
    rows = data.features[1:4].copy()
    rows[:, 2] = [np.nan, 1e-9, fitted.volatility_floor]
    answered = run(fitted, rows)
    np.testing.assert_allclose(answered, fitted.forecast(rows), atol=1e-7)
    assert np.isnan(answered[0]).all()
    assert np.isfinite(answered[1:]).all()
    wild = np.repeat(data.features[1:2], 2, axis=0)
    wild[:, 2] = [0.5, 5.0]  # beyond every split, so the trees answer alike and the volatility alone speaks
    np.testing.assert_allclose(run(fitted, wild)[1], 10 * run(fitted, wild)[0], rtol=1e-5)


def test_one_row_alone_answers_as_it_does_in_a_batch(data: TrainingSet, fitted: FittedQuantiles) -> None:
    rows = data.features[1:60]
    alone = np.concatenate([run(fitted, rows[number : number + 1]) for number in range(len(rows))])
    np.testing.assert_allclose(alone, run(fitted, rows), atol=1e-8)


def test_the_contract_says_what_the_model_is(trained: TrainedQuantiles) -> None:
    (model,) = trained.models
    contract = model.contract(file="quantiles_5h.onnx")
    assert contract.levels == LEVELS
    assert len(contract.offsets) == 7
    assert any(contract.offsets)
    assert contract.output_name == model.onnx.output_name


def test_hours_without_volatility_are_neither_learnt_nor_scored(data: TrainingSet, trained: TrainedQuantiles) -> None:
    hours = set(trained.oof["decision_time"].dt.replace_time_zone(None).to_list())
    unknown = np.isnan(data.column(VOLATILITY))
    assert unknown[2_000:].any()
    assert not hours & set(data.decision_time[unknown].tolist())
    assert len(hours) == (~unknown[2_000:]).sum()
    blind = replace(data, features=data.features.copy())
    blind.features[:, 2] = np.nan
    with pytest.raises(SettingsInvalid, match="Ingest more history"):
        train_quantiles(blind, settings=SETTINGS, parameters=QUICK)


def test_too_few_rows_are_not_judged(trained: TrainedQuantiles) -> None:
    few = trained.oof.head(7 * 200)
    report = quantile_horizon_report(few, horizon_hours=5, settings=SETTINGS)
    assert report.verdict.startswith("Too few")


def test_the_same_seed_gives_the_same_model(data: TrainingSet, fitted: FittedQuantiles) -> None:
    assert fit(data, replace(QUICK, threads=2)).to_onnx().onnx == fitted.to_onnx().onnx
    halved = replace(QUICK, feature_share=0.5)
    assert fit(data, halved, seed=1).to_onnx().onnx != fit(data, halved, seed=2).to_onnx().onnx


@pytest.mark.parametrize("name", sorted({field.name for field in fields(QuantileParameters)} - {"threads"}))
def test_every_knob_changes_the_model(data: TrainingSet, fitted: FittedQuantiles, name: str) -> None:
    changed = {
        "levels": (0.1, 0.5, 0.9),
        "leaves": 3,
        "min_rows_per_leaf": 400,
        "feature_share": 0.5,
        "learning_rate": 0.2,
        "rounds": 7,
        "max_bins": 15,
    }
    assert fit(data, replace(QUICK, **{name: changed[name]})).to_onnx().onnx != fitted.to_onnx().onnx
