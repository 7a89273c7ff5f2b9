"""Every model, and the stack of them, where nothing can be known: a coin by their intervals, refused by the gates.

The reviewed system reported an AUC of .82 on validation where shuffled labels gave .84.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from eth_pipeline.models.algorithms import ALGORITHMS, CROSS_ASSET, LIGHTGBM, LSTM, TFT
from eth_pipeline.models.boosting import Boosting
from eth_pipeline.models.candidate import Candidate, Scrutiny, train_candidate
from eth_pipeline.models.comparison import compare_members
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.lstm import Lstm, LstmParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft, TftParameters
from eth_pipeline.models.quantile import train_quantiles
from eth_pipeline.models.quantile_forest import QuantileParameters
from eth_pipeline.models.report import Estimate, MemberFigures
from eth_pipeline.models.stacking import ALGORITHM as STACK
from eth_pipeline.models.stacking import fit_stack
from eth_pipeline.registry.gates import evaluate_gates
from eth_pipeline.registry.stacking_switch import judge_stack
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.planted_history import QUICK, SMALL, planted_history

SETTINGS = SMALL.model_copy(update={"horizons_hours": (5,)})
SCHEDULE = TrainingSchedule(batch_rows=128, learning_rate=0.01, lesson_stride=4, max_epochs=2, min_epochs=1)
EVERY: tuple[Forecaster, ...] = (
    Boosting(QUICK),
    FeatureView(Boosting(QUICK), name=CROSS_ASSET, prefixes=("skill", "noise_")),
    Lstm(LstmParameters(window_hours=6, features=4, hidden=8, schedule=SCHEDULE)),
    Tft(TftParameters(window_hours=6, features=4, width=4, heads=2, schedule=SCHEDULE)),
)
NAMES = (LIGHTGBM, CROSS_ASSET, LSTM, TFT)


@dataclass(frozen=True)
class Null:
    """A market in which nothing can be known, and what came of every algorithm on it."""

    data: TrainingSet
    candidates: Mapping[str, Candidate]


def shuffled_market() -> TrainingSet:
    """Features that spoke of the future, and outcomes dealt out anew among the hours."""
    data = planted_history(4_000, strength=0.25, seed=1, horizons_hours=(5,))
    order = np.random.default_rng(6).permutation(len(data.decision_time))
    target = data.targets[5]
    dealt = {name: getattr(target, name)[order] for name in ("up", "forward_return", "late_return")}
    return replace(data, targets={5: replace(target, **dealt)})


@pytest.fixture(scope="module", params=["random walk", "shuffled labels"])
def null(request: pytest.FixtureRequest) -> Null:
    if request.param == "random walk":
        data = planted_history(4_000, strength=0.0, seed=2, horizons_hours=(5,))
    else:
        data = shuffled_market()
    scrutiny = Scrutiny(permutation_windows=0)
    return Null(
        data,
        {each.algorithm: train_candidate(data, each, settings=SETTINGS, tries=1, scrutiny=scrutiny) for each in EVERY},
    )


def holds_one_half(auc: Estimate) -> bool:
    return auc.low is not None and auc.high is not None and auc.low <= 0.5 <= auc.high


def stack_of(null: Null) -> tuple[MemberFigures, ...]:
    oofs = {name: candidate.oof for name, candidate in null.candidates.items()}
    return compare_members(oofs[LIGHTGBM], {STACK: fit_stack(oofs, settings=SETTINGS).oof}, settings=SETTINGS)


def test_no_algorithm_is_left_out() -> None:
    assert {each.algorithm for each in EVERY} == set(ALGORITHMS) == set(NAMES)


@pytest.mark.parametrize("algorithm", NAMES)
def test_a_models_interval_holds_one_half_and_the_gates_refuse_it(null: Null, algorithm: str) -> None:
    report = null.candidates[algorithm].report
    (of_five_hours,) = report.horizons
    assert holds_one_half(of_five_hours.auc), of_five_hours.auc
    assert holds_one_half(of_five_hours.cost_label.auc), of_five_hours.cost_label.auc
    gates = evaluate_gates(
        report,
        settings=load_settings().gates,
        provenance=report.provenance,
        champion_comparison=None,
        champion_fingerprint=None,
    )
    refused = {gate.name for gate in gates if not gate.passed}
    assert {"oof_auc", "beats_chance", "beats_volatility", "deflated", "pays_after_costs"} <= refused


def test_a_stack_of_them_is_a_coin_too_and_stays_off(null: Null) -> None:
    """The switch may look at these few rows here, so that it is their lack of skill that keeps the stack off."""
    members = stack_of(null)
    assert all(holds_one_half(figures.auc) for figures in members), members
    report = null.candidates[LIGHTGBM].report.model_copy(update={"members": members})
    settings = load_settings().gates.model_copy(update={"stacking_min_samples": 100})
    verdict = judge_stack(report, settings=settings)
    assert not verdict.passed
    assert "not proven better" in verdict.reason


def test_quantiles_know_no_more_than_the_past_spread(null: Null) -> None:
    """Returns of one spread throughout: the unconditional quantiles are all there is to know."""
    quick = QuantileParameters(leaves=5, min_rows_per_leaf=100, feature_share=1.0, rounds=15, threads=1)
    (report,) = train_quantiles(null.data, settings=SETTINGS, parameters=quick).report.horizons
    skill = report.skill_over_unconditional
    assert skill.low is not None
    assert skill.low <= 0
    assert report.verdict.startswith("Not proven")
