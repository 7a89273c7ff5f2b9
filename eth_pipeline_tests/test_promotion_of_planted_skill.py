"""From the exchange to the decision: a market without a signal is refused, one with a clear signal is promoted.

The whole model plane on real parts: ingest over HTTP, features, labels, purged walk-forward, gates. One horizon,
one cross symbol and three refits keep it short; the gates are the defaults.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import available_feature_names
from eth_pipeline.features.sources import load_sources
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.lake import Lake
from eth_pipeline.models.candidate import train_candidate
from eth_pipeline.models.dataset import make_training_set
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, TrainingSettings, load_settings

AS_OF = datetime(2025, 6, 29, 12, tzinfo=UTC)
START = AS_OF.replace(hour=0) - timedelta(days=730)
TRAINING = TrainingSettings(horizons_hours=(5,), refit_every_hours=24 * 190, bootstrap_samples=200)


def evaluate_market(folder: Path, *, strength: float, training: TrainingSettings = TRAINING) -> EvaluationReport:
    """Ingest two years of an hourly market through HTTP and evaluate a candidate on it."""
    symbols = ("ETHUSDT", "BTCUSDT")
    market = SyntheticMarket(seed=7, start=START, end=AS_OF, signal_strength=strength, symbols=symbols)
    with Sandbox(market, now=AS_OF) as sandbox:
        settings = load_settings(
            home=folder,
            base_interval="1h",
            cross_symbols=symbols[1:],
            history_start=START,
            exchange=sandbox.exchange_urls(),
            training=training,
        )
        lake = Lake(settings.lake_location)
        with Transport(settings.exchange, state_path=folder / "state.sqlite") as transport:
            for stream in ("klines", "mark_klines", "spot_klines", "funding_rates"):
                ingest_stream(stream, transport=transport, lake=lake, settings=settings, now=AS_OF)
    return evaluate_lake(lake, settings)


def evaluate_lake(lake: Lake, settings: Settings) -> EvaluationReport:
    """Features, labels, walk-forward, report."""
    names = {"symbol": settings.symbol, "cross_symbols": settings.cross_symbols}
    sources = load_sources(lake, symbols=settings.symbols, base_interval="1h", since=None, until=None)
    labels = build_labels(
        mark_klines=sources.mark_klines,
        klines=sources.klines,
        symbol=settings.symbol,
        base_interval="1h",
        horizons_hours=settings.training.horizons_hours,
        round_trip_cost_bps=settings.training.round_trip_cost_bps,
    )
    features = build_features(sources, base_interval="1h", **names)
    training_set = make_training_set(
        features,
        labels,
        feature_names=available_feature_names(features, **names, min_coverage=settings.training.min_feature_coverage),
        horizons_hours=settings.training.horizons_hours,
    )
    return train_candidate(training_set, Boosting(), settings=settings.training, tries=1).report


def decision_about(report: EvaluationReport) -> PromotionDecision:
    """The paper decision under the default gates, with no champion."""
    return decide(
        report,
        phase="paper",
        settings=load_settings().gates,
        candidate_fingerprint="c" * 64,
        champion_fingerprint=None,
        champion_comparison=None,
        decided_at=AS_OF,
    )


@pytest.mark.slow
def test_without_a_planted_signal_the_candidate_is_refused(tmp_path: Path) -> None:
    report = evaluate_market(tmp_path, strength=0.0)
    auc = report.horizon(5).auc
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < 0.5 < auc.high, "a random walk must not look predictable"
    decision = decision_about(report)
    assert not decision.promoted
    assert {"oof_auc", "beats_chance", "beats_volatility"} <= {gate.name for gate in decision.failed_gates}
    assert "refused" in decision.summary


@pytest.mark.slow
def test_with_a_clear_planted_signal_the_candidate_is_promoted_for_paper(tmp_path: Path) -> None:
    decision = decision_about(evaluate_market(tmp_path, strength=1.5))
    assert decision.promoted, decision.summary
    assert not decision.failed_gates
