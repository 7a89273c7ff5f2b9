"""Tests of eth_pipeline.models.thresholds."""

import numpy as np

from eth_pipeline.models.thresholds import NEVER_LONG, NEVER_SHORT, Thresholds, choose_thresholds


def test_where_no_tail_earns_its_cost_the_model_never_acts() -> None:
    random = np.random.default_rng(1)
    probability, forward_return = random.random(20_000), random.normal(0, 0.01, 20_000)
    chosen = choose_thresholds(probability, forward_return, horizon_hours=5, round_trip_cost_bps=50)
    assert chosen == Thresholds(NEVER_LONG, NEVER_SHORT)
    assert not chosen.position(np.array([0.0, 0.5, 1.0])).any()


def test_the_threshold_is_where_the_tail_begins_to_pay() -> None:
    """Probability p earns 100 * (p - 0.5) bps: a long tail above q earns 50 * q on average."""
    probability = np.linspace(0, 1, 50_000)
    forward_return = 0.01 * (probability - 0.5)
    chosen = choose_thresholds(probability, forward_return, horizon_hours=1, round_trip_cost_bps=41)
    assert 0.82 < chosen.long < 0.86
    assert 0.14 < chosen.short < 0.18
    assert chosen.position(np.array([0.9, 0.5, 0.1])).tolist() == [1.0, 0.0, -1.0]


def test_a_higher_cost_moves_the_thresholds_outwards() -> None:
    probability = np.linspace(0, 1, 50_000)
    cheap, dear = (
        choose_thresholds(probability, 0.01 * (probability - 0.5), horizon_hours=1, round_trip_cost_bps=cost)
        for cost in (10, 40)
    )
    assert cheap.long < dear.long
    assert cheap.short > dear.short


def test_a_handful_of_lucky_hours_is_no_reason_to_act() -> None:
    probability = np.linspace(0, 1, 5_000)
    forward_return = np.where(probability > 0.99, 0.05, 0.0)
    chosen = choose_thresholds(probability, forward_return, horizon_hours=24, round_trip_cost_bps=40)
    assert chosen.long == NEVER_LONG
