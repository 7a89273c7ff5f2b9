"""Tests of models.figures.multiple_testing: published examples, hand-made ones, and a slow rewriting as oracle."""

from itertools import combinations

import numpy as np
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.figures.multiple_testing import (
    deflated_sharpe_ratio,
    expected_best_sharpe,
    overfitting_probability,
)
from eth_pipeline.models.figures.pnl import Moments, moments

PUBLISHED = Moments(periods=1_250, sharpe=2.5 / np.sqrt(250), skewness=-3.0, kurtosis=10.0)
"""Bailey and Lopez de Prado (2014), numerical example: an annualised ratio of 2.5 over five years of days."""


def test_the_hurdle_and_the_deflated_ratio_are_those_of_the_paper() -> None:
    variance = 0.5 / 250
    assert expected_best_sharpe(tries=100, sharpe_variance=variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(PUBLISHED, tries=100, sharpe_variance=variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe_ratio(PUBLISHED, tries=46, sharpe_variance=variance) == pytest.approx(0.9505, abs=5e-4)


def test_one_try_is_only_asked_whether_it_is_above_zero() -> None:
    """Normal returns, ratio 0.1 over 401 periods: the probability of a normal at 0.1 * 20 / sqrt(1.005)."""
    normal = Moments(periods=401, sharpe=0.1, skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe_ratio(normal, tries=1, sharpe_variance=None) == pytest.approx(0.97697, abs=1e-5)
    nothing = Moments(periods=401, sharpe=0.0, skewness=0.0, kurtosis=3.0)
    assert deflated_sharpe_ratio(nothing, tries=1, sharpe_variance=0.3) == pytest.approx(0.5)


def test_more_tries_worse_tails_and_unknown_tries_lower_it() -> None:
    def of(tries: int, **changed: float) -> float:
        found = Moments(periods=225, sharpe=0.2, skewness=changed.get("skewness", 0.0), kurtosis=3.0)
        return deflated_sharpe_ratio(found, tries=tries, sharpe_variance=None)

    assert of(1) > of(2) > of(20) > of(200)
    assert of(20) > of(20, skewness=-2.0)


def test_the_best_of_skill_less_tries_is_not_believed() -> None:
    """The best of 50 series of noise over 225 weeks looks like an annual ratio above 1; deflated it is no surprise."""
    believed, shown = [], []
    for seed in range(60):
        series = np.random.default_rng(seed).standard_normal((225, 50))
        shapes = [moments(column) for column in series.T]
        ratios = np.array([shape.sharpe for shape in shapes if shape])
        best = shapes[int(ratios.argmax())]
        assert best is not None
        shown.append(best.sharpe * np.sqrt(52))
        believed.append(deflated_sharpe_ratio(best, tries=50, sharpe_variance=float(ratios.var(ddof=1))))
    assert np.mean(shown) > 1.0
    assert np.mean(np.array(believed) > 0.95) < 0.15
    assert 0.3 < np.mean(believed) < 0.7


def test_two_tries_that_swap_places_are_overfitting_and_one_that_leads_is_not() -> None:
    """By hand: two blocks, two splits; the winner of one half is last in the other, or first in both."""
    good, bad = np.tile([3.0, 1.0], 5), np.tile([1.0, -1.0], 5)
    swapping = np.column_stack([np.concatenate([good, bad]), np.concatenate([bad, good])])
    leading = np.column_stack([np.concatenate([good, good]), np.concatenate([bad, bad])])
    assert overfitting_probability(swapping, blocks=2) == 1.0
    assert overfitting_probability(leading, blocks=2) == 0.0


def written_out(returns: np.ndarray, blocks: int) -> float:
    """The definition, split by split, with nothing shared with the implementation."""
    parts = np.array_split(returns, blocks)
    lost, splits = 0, 0
    for members in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in members])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in members])
        best = int(np.argmax(inside.mean(axis=0) / inside.std(axis=0)))
        ratios = outside.mean(axis=0) / outside.std(axis=0)
        rank = int((ratios <= ratios[best]).sum()) / (returns.shape[1] + 1)
        lost += np.log(rank / (1 - rank)) <= 0
        splits += 1
    return lost / splits


@pytest.mark.parametrize("seed", range(5))
def test_the_share_is_that_of_the_definition_written_out(seed: int) -> None:
    random = np.random.default_rng(seed)
    returns = random.standard_normal((80, 7)) + np.linspace(0, 0.2, 7)
    assert overfitting_probability(returns, blocks=8) == pytest.approx(written_out(returns, 8))


def test_choosing_among_noise_is_overfitting_half_of_the_time_and_choosing_true_skill_hardly_ever() -> None:
    noise, skilled = [], []
    for seed in range(20):
        returns = np.random.default_rng(seed).standard_normal((800, 10))
        noise.append(overfitting_probability(returns, blocks=10) or 0.0)
        returns[:, 3] += 0.3
        skilled.append(overfitting_probability(returns, blocks=10) or 0.0)
    assert 0.35 < np.mean(noise) < 0.65
    assert 0.0 <= (overfitting_probability(returns) or 0.0) < 0.05, "16 blocks, as reported"
    assert max(skilled) < 0.05


def test_what_cannot_be_compared_is_none_and_what_is_not_aligned_is_refused() -> None:
    random = np.random.default_rng(1)
    assert overfitting_probability(random.standard_normal((800, 1))) is None
    assert overfitting_probability(random.standard_normal((79, 5))) is None
    never = np.zeros((800, 3))
    never[:, 0] = random.standard_normal(800)
    assert overfitting_probability(never) is None
    with pytest.raises(ContractViolation, match="Give an even number"):
        overfitting_probability(random.standard_normal((800, 2)), blocks=3)
    with pytest.raises(ContractViolation, match="Align the tries"):
        overfitting_probability(np.full((800, 2), np.nan))
