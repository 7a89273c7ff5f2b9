"""What timeframes say together: chains of neighbours, the tone of the large ones, and both in the strength."""

import pytest

from eth_pipeline.contracts.signal import ConsensusRule
from eth_pipeline.signals.technical.consensus import FULL_AGREEMENT, LARGE_TIMEFRAMES, WEIGHTS
from eth_pipeline.signals.technical.resonance import Resonance, resonate
from eth_pipeline_tests.decision_samples import score

RULE = ConsensusRule(
    min_strength=40, min_coverage=0.5, full_agreement=FULL_AGREEMENT, large_timeframes=LARGE_TIMEFRAMES
)
EVERY = tuple(WEIGHTS)


def _resonate(**nets: float) -> Resonance:
    """Of nets by timeframe; `t1h=3` is 1h."""
    return resonate([score(name[1:], net) for name, net in nets.items()], weights=WEIGHTS, rule=RULE)


def test_timeframes_that_all_agree_are_one_chain_and_count_one_and_a_half() -> None:
    found = resonate([score(name, 4) for name in EVERY], weights=WEIGHTS, rule=RULE)
    assert found.chain == EVERY
    assert found.signed == pytest.approx(4 / 25 * 100 * 1.5)


def test_scattered_agreement_is_no_chain() -> None:
    """15m and 24h may agree by chance while everything between them says the opposite."""
    scattered = _resonate(t15m=5, t30m=-1, t1h=-1, t4h=-1, t8h=-1, t24h=5)
    assert scattered.chain == ("24h",)
    assert _resonate(t15m=5, t30m=5, t1h=5, t4h=5, t8h=5, t24h=5).chain == EVERY


def test_a_missing_timeframe_breaks_the_chain() -> None:
    assert _resonate(t1h=5, t4h=5, t24h=5).chain == ("24h",)
    assert _resonate(t1h=5, t4h=5, t8h=5).chain == ("1h", "4h", "8h")


def test_the_heavier_of_two_chains_counts() -> None:
    assert _resonate(t15m=90, t30m=90, t1h=90, t4h=-1, t8h=1, t24h=1).chain == ("8h", "24h")
    assert _resonate(t15m=90, t30m=90, t1h=90, t4h=1, t8h=-1, t24h=1).chain == ("15m", "30m", "1h", "4h")


def test_the_tone_of_the_large_ones_halves_what_opposes_it() -> None:
    with_tone, against = _resonate(t1h=20, t24h=0.1), _resonate(t1h=20, t24h=-0.1)
    assert (with_tone.tone, against.tone) == (0.1, -0.1)
    means = [(160 + sign * 2.8) / 36 / 25 * 100 for sign in (1, -1)]
    assert with_tone.signed == pytest.approx(means[0] * (0.5 + 28 / 36))
    assert against.signed == pytest.approx(means[1] * (0.5 + 8 / 36) * 0.5)


def test_nothing_and_a_draw_have_no_strength_and_no_chain() -> None:
    assert _resonate() == Resonance(0.0, (), 0.0)
    assert _resonate(t8h=7, t24h=-5) == Resonance(0.0, (), 0.0)


def test_the_order_of_the_scores_does_not_matter() -> None:
    scores = [score(name, 3.1 * (-1) ** n + n) for n, name in enumerate(EVERY)]
    assert resonate(scores, weights=WEIGHTS, rule=RULE) == resonate(scores[::-1], weights=WEIGHTS, rule=RULE)
