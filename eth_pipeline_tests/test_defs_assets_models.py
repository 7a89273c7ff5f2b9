"""Every algorithm through Dagster into one bundle: trained apart, put together, and answering as one.

A home of 100 days: enough to train and to say nothing about skill.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from eth_pipeline.contracts.artifact import RUNTIME_CONTRACT, PromotionDecision, RuntimeContract
from eth_pipeline.contracts.clock import floor_hour
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.contracts.model_tables import TRIED_PNL
from eth_pipeline.defs.assets.candidate import newest_candidate
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.verification import VerifiedBundle, fingerprint, read_report
from eth_pipeline.settings import load_settings
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline.signals.forecasting.forecast_rows import forecast_rows, stored_forecast
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import TWO_SYMBOLS_BY_THE_HOUR, SmallHome, small_home

TRAINED = ("lightgbm_model", "cross_asset_model", "lstm_model", "quantile_model", "regime_model")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """Features, labels and every model but the transformer, which takes minutes on a small machine."""
    folder, shared = tmp_path_factory.mktemp("models"), shared_folder(tmp_path_factory)
    with small_home(folder, smaller=TWO_SYMBOLS_BY_THE_HOUR, shared=shared) as built:
        built.environment.update(
            ETH_PIPELINE_TRAINING__MIN_TRAIN_HOURS=str(24 * 50),
            ETH_PIPELINE_TRAINING__REFIT_EVERY_HOURS=str(24 * 40),
            ETH_PIPELINE_TRAINING__BOOTSTRAP_SAMPLES="60",
            ETH_PIPELINE_NETWORKS__MAX_EPOCHS="2",
        )
        with built.entered() as instance:
            assert built.materialize("features", "labels", instance=instance).success
            for asset in TRAINED:
                result = built.materialize(asset, instance=instance)
                assert result.success, asset
            assert built.materialize("candidate_bundle", instance=instance).success
            newest_candidate(instance).rename(built.folder / "whole")  # a test here makes another candidate
        yield built


def bundle_of(home: SmallHome) -> VerifiedBundle:
    """The candidate of every model as if somebody had promoted it, its stack on."""
    folder = home.folder / "whole"
    contract = RuntimeContract.model_validate_json((folder / RUNTIME_CONTRACT).read_bytes())
    decision = PromotionDecision(
        decision_id="test",
        decided_at=contract.created_at,
        phase="paper",
        candidate_fingerprint=fingerprint(folder),
        champion_fingerprint=None,
        provenance="simulated",
        promoted=True,
        gates=(),
        stacking_enabled=True,
        pays_after_costs=False,
        summary="for a test",
    )
    return VerifiedBundle(folder, contract, decision, read_report(folder), fingerprint(folder))


@pytest.mark.slow
def test_one_bundle_holds_every_algorithm_the_stack_quantiles_and_states(home: SmallHome) -> None:
    contract = bundle_of(home).contract
    assert contract.primary_algorithm == "lightgbm"
    assert {model.algorithm for model in contract.models} == {"lightgbm", "cross_asset", "lstm"}
    assert contract.window_hours == 48
    assert [stack.horizon_hours for stack in contract.stacks] == [5, 12, 24]
    assert all(stack.algorithms == ("lightgbm", "cross_asset", "lstm") for stack in contract.stacks)
    assert [model.horizon_hours for model in contract.quantiles] == [5, 12, 24]
    assert contract.regime is not None
    assert contract.regime.states == ("calm", "normal", "stressed")
    assert sum(name.startswith("lstm") for name in contract.files) == 1, "a network's horizons share their file"


@pytest.mark.slow
def test_the_bundle_answers_the_newest_hour_and_its_rows_come_back_as_the_same_forecast(home: SmallHome) -> None:
    bundle = bundle_of(home)
    with home.entered():
        settings = load_settings()
        hour = floor_hour(home.sandbox.clock.now())
        table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
        since = pl.col("decision_time") > hour - timedelta(hours=bundle.contract.window_hours)
        rows = Lake(str(home.folder / "lake")).read(table, where=since).sort("decision_time")
    forecaster = BundleForecaster(bundle, version="1")
    answer = forecaster.forecast(rows, now=home.sandbox.clock.now())
    assert answer.source == "stacking"
    assert set(answer.members) == {"lightgbm", "cross_asset", "lstm", "stacking"}
    assert sum(answer.regime.values()) == pytest.approx(1.0, abs=1e-4)
    for levels in answer.quantiles.values():
        assert list(levels.values()) == sorted(levels.values())
    stored = forecast_rows(answer, forecaster.info, row=rows.tail(1))
    FORECASTS.conform(stored)
    assert stored.filter("acting")["algorithm"].unique().to_list() == ["stacking"]
    back = stored_forecast(stored, contract=bundle.contract)
    assert back is not None
    assert back.probabilities == pytest.approx(answer.probabilities)
    assert (back.source, back.members.keys()) == (answer.source, answer.members.keys())
    assert back.quantiles[5] == pytest.approx(answer.quantiles[5])

    holed = forecaster.forecast(pl.concat([rows.head(3), rows.tail(1)]), now=home.sandbox.clock.now())
    assert (holed.source, set(holed.members)) == ("lightgbm", {"lightgbm", "cross_asset"}), (
        "the network sees too little"
    )


@pytest.mark.slow
def test_every_try_leaves_its_series_and_the_next_one_is_discounted_by_them(home: SmallHome) -> None:
    with home.entered() as instance:
        tried = Lake(str(home.folder / "lake")).read(TRIED_PNL)
        assert set(tried["algorithm"]) == {"lightgbm", "cross_asset", "lstm"}
        assert home.materialize("lightgbm_model", instance=instance).success
        again = Lake(str(home.folder / "lake")).read(TRIED_PNL)
        tries = tried["try_id"].n_unique()
        assert again["try_id"].n_unique() == tries >= 3, "the same choice again is no new try"
        event = instance.get_latest_materialization_event(dg.AssetKey("lightgbm_model"))
        assert event is not None
        assert event.asset_materialization is not None
        folder = Path(str(event.asset_materialization.metadata["folder"].value))
    figures = json.loads((folder / "trained.json").read_text())["report"]
    assert figures["tries"] == tries
    assert figures["horizons"][0]["pnl"]["tries_compared"] == tries


@pytest.mark.slow
def test_a_model_of_other_rows_is_left_out_with_a_sentence(home: SmallHome) -> None:
    home.environment["ETH_PIPELINE_TRAINING__MIN_FEATURE_COVERAGE"] = "0.95"
    with home.entered() as instance:
        assert home.materialize("lightgbm_model", instance=instance).success
        result = home.materialize("candidate_bundle", instance=instance)
        assert result.success
        (made,) = result.asset_materializations_for_node("candidate_bundle")
        assert "cross_asset was left out: its newest model was trained on other rows" in str(
            made.metadata["models"].value
        )
    del home.environment["ETH_PIPELINE_TRAINING__MIN_FEATURE_COVERAGE"]
