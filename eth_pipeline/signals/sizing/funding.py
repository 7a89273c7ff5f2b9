"""What a position is expected to pay for being held: the funding settlements ahead.

Belongs here: the rate that is known at an hour and when it is next charged. Does not belong: charging it
(`trading.timeline`), what it does to a decision (`expected`).

The expectation is the newest settled rate, carried forward. Funding is persistent; the exchange's own indication of
the next rate is not archived, so a history made with it could not be rebuilt.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.tables import FUNDING_RATES

USUAL_INTERVAL_HOURS = 8
"""Where the exchange published no interval with the settlement."""


@dataclass(frozen=True)
class FundingOutlook:
    """The rate per settlement (positive: longs pay) and the settlements ahead of an hour."""

    rate: float
    next_settlement: datetime
    interval_hours: int

    def settlements_within(self, decision_time: datetime, *, hours: int) -> int:
        """How many settlements a position opened at `decision_time` meets in the next `hours`.

        One at the very instant of opening is not met (it is settled before the order), one at the last instant is.
        """
        end = decision_time + timedelta(hours=hours)
        if self.next_settlement > end:
            return 0
        return int((end - self.next_settlement) / (self.interval_hours * HOUR)) + 1


def funding_outlooks(rates: pl.DataFrame, decision_times: Iterable[datetime]) -> dict[datetime, FundingOutlook | None]:
    """The outlook of each hour from what was known then; None before the first settlement.

    Args:
        rates: rows of `FUNDING_RATES` of one symbol; later rows may be there and are not looked at.
        decision_times: full hours, UTC.
    """
    ordered = FUNDING_RATES.conform(rates).sort("available_at", "funding_time")
    known_at: list[datetime] = []
    newest: list[tuple[datetime, float, int]] = []
    for available, settled, rate, interval in ordered.select(
        "available_at", "funding_time", "funding_rate", "interval_hours"
    ).iter_rows():
        if not newest or settled > newest[-1][0]:
            known_at.append(available)
            newest.append((settled, rate, interval or USUAL_INTERVAL_HOURS))
    return {time: _outlook(known_at, newest, time) for time in decision_times}


def _outlook(
    known_at: list[datetime], newest: list[tuple[datetime, float, int]], decision_time: datetime
) -> FundingOutlook | None:
    place = bisect_right(known_at, decision_time) - 1
    if place < 0:
        return None
    settled, rate, interval_hours = newest[place]
    passed = int((decision_time - settled) / (interval_hours * HOUR))
    upcoming = settled + (passed + 1) * interval_hours * HOUR
    return FundingOutlook(rate=rate, next_settlement=upcoming, interval_hours=interval_hours)
