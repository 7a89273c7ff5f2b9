"""Funding ahead: the newest settled rate that was known, and the settlements that a position would meet."""

from datetime import timedelta

import polars as pl
import pytest

from eth_pipeline.signals.sizing.funding import FundingOutlook, funding_outlooks
from eth_pipeline_tests.decision_samples import HOUR, NOON, funding

MORNING = NOON - 4 * HOUR
RATES = funding({MORNING - 8 * HOUR: 0.0001, MORNING: 0.0002, MORNING + 8 * HOUR: 0.0003})


def _outlook(rates: pl.DataFrame, hours_after_noon: float = 0) -> FundingOutlook | None:
    time = NOON + hours_after_noon * HOUR
    return funding_outlooks(rates, [time])[time]


def test_the_newest_settled_rate_is_carried_forward() -> None:
    assert _outlook(RATES) == FundingOutlook(rate=0.0002, next_settlement=MORNING + 8 * HOUR, interval_hours=8)
    assert _outlook(RATES, 4) == FundingOutlook(rate=0.0003, next_settlement=MORNING + 16 * HOUR, interval_hours=8)


def test_a_settlement_that_is_not_known_yet_does_not_count() -> None:
    late = funding({MORNING: 0.0002, MORNING + 8 * HOUR: 0.0003}, late=timedelta(hours=2))
    assert _outlook(late, 5) == FundingOutlook(rate=0.0002, next_settlement=MORNING + 16 * HOUR, interval_hours=8)
    assert _outlook(late, 6) == FundingOutlook(rate=0.0003, next_settlement=MORNING + 16 * HOUR, interval_hours=8)


def test_an_old_settlement_that_comes_late_does_not_replace_a_newer_one() -> None:
    repaired = RATES.with_columns(
        available_at=pl.when(pl.col("funding_time") == MORNING - 8 * HOUR)
        .then(MORNING + 2 * HOUR)
        .otherwise("available_at")
    )
    for hours_after_noon in (-3, 0):
        outlook = _outlook(repaired, hours_after_noon)
        assert outlook is not None
        assert outlook.rate == 0.0002


def test_before_the_first_settlement_nothing_is_known() -> None:
    assert _outlook(RATES, -13) is None
    assert _outlook(RATES.head(0)) is None


def test_the_published_interval_counts_and_eight_hours_without_one() -> None:
    four = RATES.with_columns(interval_hours=pl.lit(4, pl.Int64))
    none = RATES.with_columns(interval_hours=pl.lit(None, pl.Int64))
    assert _outlook(four, 1) == FundingOutlook(rate=0.0002, next_settlement=NOON + 4 * HOUR, interval_hours=4)
    assert _outlook(none) == _outlook(RATES)


@pytest.mark.parametrize(("hours", "met"), [(3, 0), (4, 1), (5, 1), (11, 1), (12, 2), (24, 3)])
def test_settlements_within_a_horizon_are_counted_to_its_last_instant(hours: int, met: int) -> None:
    outlook = FundingOutlook(rate=0.0001, next_settlement=NOON + 4 * HOUR, interval_hours=8)
    assert outlook.settlements_within(NOON, hours=hours) == met


def test_one_at_the_instant_of_opening_is_not_met() -> None:
    outlook = _outlook(RATES, 4)
    assert outlook is not None
    assert outlook.settlements_within(NOON + 4 * HOUR, hours=5) == 0


def test_settlements_that_arrive_out_of_order_are_looked_up_by_when_they_were_known() -> None:
    """The one in the middle comes after the newer one: at 17:00 the newer one is known, and it alone counts."""
    swapped = RATES.with_columns(
        available_at=pl.when(pl.col("funding_time") == MORNING).then(MORNING + 10 * HOUR).otherwise("available_at")
    )
    rates = [outlook.rate for hours in (0, 5, 7) if (outlook := _outlook(swapped, hours)) is not None]
    assert rates == [0.0001, 0.0003, 0.0003]
