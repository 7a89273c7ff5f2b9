"""Every model, and the stack of them, where nothing can be known: a coin by their intervals, refused by the gates.

The reviewed system reported an AUC of .82 on validation where shuffled labels gave .84.

An interval at 95 % misses in one of twenty cases, and eighteen are looked at. An earlier form of this test had its
shuffle changed until none missed. Now nothing is chosen: both markets have seed 0, and the level is that of Bonferroni,
so that in honest markets all eighteen hold one half together with at least 95 %, however they depend on each other.
The gates keep their own levels: those that ask for a size refuse every model, those that ask for certainty may err.
`benchmarks/null_coverage.py` counts over many seeds whether the intervals cover what they say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from eth_pipeline.models.algorithms import ALGORITHMS, LIGHTGBM
from eth_pipeline.models.candidate import Candidate, Scrutiny, train_candidate
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.comparison import compare_members
from eth_pipeline.models.sizing.quantile import train_quantiles
from eth_pipeline.models.stacking import ALGORITHM as STACK
from eth_pipeline.models.stacking import fit_stack
from eth_pipeline.models.trees.quantile_forest import QuantileParameters
from eth_pipeline.registry.promotions.gates import evaluate_gates
from eth_pipeline.registry.promotions.stacking_switch import judge_stack
from eth_pipeline.settings import load_settings
from eth_pipeline_tests.null_markets import EVERY, MARKETS, NAMES, SETTINGS, auc_intervals, holds_one_half, null_market

SEED = 0
INTERVALS = len(MARKETS) * (2 * len(NAMES) + 1)
"""The AUC of sign and of the moves that pay for every model, and of sign for the stack."""
FAMILY_SHARE = 1 - 0.05 / INTERVALS


@dataclass(frozen=True)
class Null:
    """A market in which nothing can be known, and what came of every algorithm on it."""

    data: TrainingSet
    candidates: Mapping[str, Candidate]


@pytest.fixture(scope="module", params=MARKETS)
def null(request: pytest.FixtureRequest) -> Null:
    data = null_market(request.param, seed=SEED)
    scrutiny = Scrutiny(permutation_windows=0)
    return Null(
        data,
        {each.algorithm: train_candidate(data, each, settings=SETTINGS, tries=1, scrutiny=scrutiny) for each in EVERY},
    )


def refusals(candidate: Candidate) -> set[str]:
    """Names of the promotion gates that refuse it."""
    gates = evaluate_gates(
        candidate.report,
        settings=load_settings().gates,
        provenance=candidate.report.provenance,
        champion_comparison=None,
        champion_fingerprint=None,
    )
    return {gate.name for gate in gates if not gate.passed}


def test_no_algorithm_is_left_out() -> None:
    assert {each.algorithm for each in EVERY} == set(ALGORITHMS) == set(NAMES)


@pytest.mark.parametrize("algorithm", NAMES)
def test_a_models_interval_holds_one_half_and_the_gates_refuse_it(null: Null, algorithm: str) -> None:
    candidate = null.candidates[algorithm]
    report = candidate.report
    (of_five_hours,) = report.horizons
    found = auc_intervals(candidate.oof, share=FAMILY_SHARE)
    assert all(map(holds_one_half, found.values())), found
    assert found["sign"].value == of_five_hours.auc.value
    assert found["cost"].value == of_five_hours.cost_label.auc.value
    assert {"oof_auc", "pays_after_costs"} <= refusals(candidate)


@pytest.mark.parametrize("gate", ["beats_chance", "beats_volatility", "deflated"])
def test_a_gate_that_asks_for_certainty_is_passed_by_two_of_four_at_most(null: Null, gate: str) -> None:
    """It errs in one of forty coins by design, and the two boosters, which read the same inputs, err together."""
    passed = [name for name, candidate in null.candidates.items() if gate not in refusals(candidate)]
    assert len(passed) <= 2, passed


def test_a_stack_of_them_is_a_coin_too_and_stays_off(null: Null) -> None:
    """The switch may look at these few rows here, so that it is their lack of skill that keeps the stack off."""
    oofs = {name: candidate.oof for name, candidate in null.candidates.items()}
    stacked = fit_stack(oofs, settings=SETTINGS).oof
    assert holds_one_half(auc_intervals(stacked, share=FAMILY_SHARE)["sign"])
    members = compare_members(oofs[LIGHTGBM], {STACK: stacked}, settings=SETTINGS)
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
