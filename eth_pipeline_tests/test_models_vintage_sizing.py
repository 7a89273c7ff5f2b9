"""Tests of eth_pipeline.models.vintages.vintage_sizing: nothing from the cutoff on, and the answers of a bundle."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eth_pipeline.contracts.artifact import FeatureInput, HorizonModel, PromotionDecision, RuntimeContract
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.folds import learnable_rows
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.trees.quantile_forest import QuantileParameters, conformal_offsets, fit_quantiles
from eth_pipeline.models.vintages.vintage import Vintage, train_vintage
from eth_pipeline.models.vintages.vintage_forecasts import score_vintage
from eth_pipeline.registry.bundles.verification import VerifiedBundle
from eth_pipeline.registry.runs.vintages import load_vintage, save_vintage
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline.signals.historical_inputs import vintage_forecasts
from eth_pipeline_tests.decision_samples import sample_settings
from eth_pipeline_tests.planted_history import QUICK, SMALL, planted_history

FEW = QuantileParameters(levels=(0.1, 0.5, 0.9), min_rows_per_leaf=200, feature_share=0.8, rounds=15)
CUTOFF = 3_600


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    """A planted history with the two volatilities that the regime reads, and holes in the one that scales."""
    planted = planted_history(4_000, strength=0.25, seed=4)
    random = np.random.default_rng(9)
    week = np.abs(random.standard_normal(len(planted.features))).astype(np.float32) + 0.1
    features = np.column_stack([planted.features, week])
    features[[3_700, 3_705], planted.feature_names.index("realised_vol_24h")] = np.nan
    features[3_710], features[3_712] = 50.0, -50.0
    return replace(planted, features=features, feature_names=(*planted.feature_names, "realised_vol_168h"))


def instant(data: TrainingSet, row: int) -> datetime:
    found: datetime = data.decision_time[row].astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def trained(data: TrainingSet, cutoff: datetime) -> Vintage:
    return train_vintage(data, Boosting(QUICK), cutoff=cutoff, settings=SMALL, quantiles=FEW)


@pytest.fixture(scope="module")
def vintage(data: TrainingSet) -> Vintage:
    return trained(data, instant(data, CUTOFF))


def poisoned(data: TrainingSet, since: int, *, features_too: bool = True) -> TrainingSet:
    """The same history with every outcome, and every feature, from row `since` on turned into nonsense."""
    features = data.features.copy()
    if features_too:
        features[since:] = 1e6
    targets = {
        h: HorizonTarget(
            up=t.up,
            forward_return=np.where(t.label_end >= data.decision_time[since], 7.0, t.forward_return),
            late_return=t.late_return,
            label_end=t.label_end,
        )
        for h, t in data.targets.items()
    }
    return replace(data, features=features, targets=targets)


def test_what_sizes_learns_nothing_from_its_cutoff_on_nor_from_the_embargo_before_it(
    data: TrainingSet, vintage: Vintage
) -> None:
    again = trained(poisoned(data, CUTOFF - SMALL.embargo_hours), vintage.cutoff)
    assert again.sizing == vintage.sizing
    assert trained(poisoned(data, CUTOFF - 200, features_too=False), vintage.cutoff).sizing != vintage.sizing


def test_the_months_that_follow_fall_into_its_intervals_as_often_as_it_says(
    data: TrainingSet, vintage: Vintage
) -> None:
    rows = np.setdiff1d(np.arange(CUTOFF, 3_980), [3_700, 3_705, 3_710, 3_712])
    scored = score_vintage(vintage, data, rows=rows).filter(horizon_hours=5)
    levels = [json.loads(text) for text in scored["quantiles"]]
    happened = data.targets[5].forward_return[rows]
    inside = [each["0.1"] <= value <= each["0.9"] for each, value in zip(levels, happened, strict=True)]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.08)


def test_offsets_come_from_rows_that_did_not_teach_the_model_they_correct(data: TrainingSet, vintage: Vintage) -> None:
    """In-sample residuals are too small: the intervals of every rebuilt hour would be too narrow."""
    assert vintage.sizing is not None
    model, target = vintage.sizing.quantiles[0], data.targets[5]
    train, validation = learnable_rows(
        data.decision_time,
        np.where(target.labelled, target.label_end, np.datetime64("NaT")),
        test_start=data.decision_time[CUTOFF],
        max_train_hours=SMALL.max_train_hours,
        embargo_hours=SMALL.embargo_hours,
    )
    fitted = fit_quantiles(data, {5: train}, parameters=FEW, volatility_feature="realised_vol_24h", seed=SMALL.seed)
    forecast = fitted[5].forecast(data.features[validation])
    expected = conformal_offsets(forecast, target.forward_return[validation], levels=FEW.levels)
    assert any(model.offsets)
    assert model.offsets == pytest.approx(tuple(expected))


def bundle_of(vintage: Vintage, folder: Path) -> BundleForecaster:
    """The models of `vintage` in the hands of the code that forecasts a live hour."""
    assert vintage.sizing is not None
    (folder / "models").mkdir(parents=True)
    models = tuple(
        HorizonModel(
            file=f"{m.horizon_hours}.onnx",
            algorithm=vintage.algorithm,
            **{name: getattr(m, name) for name in HorizonModel.model_fields if hasattr(m, name)},
        )
        for m in vintage.models
    )
    named = {m.file: each.onnx for m, each in zip(models, vintage.models, strict=True)}
    for name, content in {**named, **vintage.sizing.files}.items():
        (folder / "models" / name).write_bytes(content)
    contract = RuntimeContract(
        symbol="ETHUSDT",
        base_interval="1h",
        created_at=vintage.cutoff,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        trained_until=vintage.trained_until,
        provenance="simulated",
        code_commit="c0ffee",
        lock_digest="",
        feature_schema="",
        inputs=tuple(
            FeatureInput(name=name, lower=bound[0] if bound else None, upper=bound[1] if bound else None)
            for name, bound in zip(vintage.feature_names, vintage.sizing.bounds, strict=True)
        ),
        primary_algorithm=vintage.algorithm,
        models=models,
        quantiles=vintage.sizing.quantiles,
        regime=vintage.sizing.regime,
        opset=17,
    )
    decision = PromotionDecision(
        decision_id="1",
        decided_at=vintage.cutoff,
        phase="paper",
        candidate_fingerprint="",
        champion_fingerprint=None,
        provenance="simulated",
        promoted=True,
        gates=(),
        pays_after_costs=False,
        summary="",
    )
    return BundleForecaster(VerifiedBundle(folder, contract, decision, None, "f"), version="1")


def as_stored(scored: pl.DataFrame, vintage: Vintage) -> pl.DataFrame:
    return HISTORICAL_FORECASTS.conform(
        scored.with_columns(
            symbol=pl.lit("ETHUSDT"),
            algorithm=pl.lit(vintage.algorithm),
            available_at=pl.col("decision_time"),
            cutoff=pl.lit(vintage.cutoff).cast(HISTORICAL_FORECASTS.schema["cutoff"]),
            long_threshold=pl.lit(0.6),
            short_threshold=pl.lit(0.4),
            provenance=pl.lit("simulated"),
        )
    )


def test_a_past_hour_is_told_what_a_bundle_of_the_same_models_would_have_told_it(
    data: TrainingSet, vintage: Vintage, tmp_path: Path
) -> None:
    """Direction, quantiles, regime, coverage and strange inputs: all that decides and sizes, hour by hour.

    Once a vintage knew the direction only, and every rebuilt hour was sized by conviction.
    """
    save_vintage(tmp_path / "kept", vintage, feature_schema="s", code_commit="c", versions={})
    kept = load_vintage(tmp_path / "kept", feature_schema="s")
    rows = np.arange(3_690, 3_720)
    times = [instant(data, int(row)) for row in rows]
    past = vintage_forecasts(
        as_stored(score_vintage(kept, data, rows=rows), kept),
        coverage=dict.fromkeys(times, 0.5),
        settings=sample_settings(),
        code_commit="",
        provenance="simulated",
    )
    bundle = bundle_of(vintage, tmp_path / "bundle")
    assert len(past) == len(rows)
    for row, time in zip(rows, times, strict=True):
        frame = pl.DataFrame(dict(zip(data.feature_names, data.features[row : row + 1].T, strict=True)))
        ours, theirs = past[time][1], bundle.forecast(frame.with_columns(decision_time=pl.lit(time)), now=time)
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-7)
        assert (ours.coverage, ours.out_of_bounds_share) == (theirs.coverage, theirs.out_of_bounds_share)
        assert dict(ours.regime) == pytest.approx(theirs.regime, abs=1e-6)
        told = {hours: levels for hours, levels in theirs.quantiles.items() if levels}
        assert ours.quantiles.keys() == told.keys()
        for hours, levels in told.items():
            assert dict(ours.quantiles[hours]) == pytest.approx(levels, abs=1e-9)
    assert past[instant(data, 3_700)][1].quantiles == {}, "the volatility that scales them was missing"
    assert past[instant(data, 3_710)][1].out_of_bounds_share > 0.5
    assert past[instant(data, 3_712)][1].out_of_bounds_share > 0.5
    assert len(past[times[0]][1].regime) == 3


def test_a_vintage_that_sizes_nothing_says_so_and_still_loads(
    data: TrainingSet, vintage: Vintage, tmp_path: Path
) -> None:
    """Vintages of before 2026-11-22 are folders without quantiles; their months stay valid."""
    record = save_vintage(tmp_path, replace(vintage, sizing=None), feature_schema="s", code_commit="c", versions={})
    assert record.sized_by == "conviction"
    stored = json.loads((tmp_path / "vintage.json").read_text())
    for name in ("quantiles", "regime", "bounds"):
        del stored[name]
    (tmp_path / "vintage.json").write_text(json.dumps(stored))
    old = load_vintage(tmp_path, feature_schema="s")
    assert old == replace(vintage, sizing=None)
    scored = score_vintage(old, data, rows=np.arange(3_690, 3_700))
    assert scored.select("quantiles", "regime", "out_of_bounds_share").null_count().row(0) == (20, 20, 20)
    new = save_vintage(tmp_path, vintage, feature_schema="s", code_commit="c", versions={})
    assert new.sized_by == "quantiles"
    assert load_vintage(tmp_path, feature_schema="s") == vintage
