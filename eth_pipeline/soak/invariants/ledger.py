"""The ledger: its events follow each other and add up to the account.

Belongs here: adding them up once more. Does not belong: what an event means (`trading.ledger`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

import polars as pl

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.errors import ContractViolation
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, Event, events_from_frame, replay

_USDT_OFF = 1e-6


def read_ledger(lake: Lake, *, settings: Settings) -> tuple[Event, ...]:
    """Every event of the account."""
    mine = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    return events_from_frame(lake.read(ACCOUNT_EVENTS, where=mine))


def ledger_balances(
    events: Sequence[Event], *, settings: Settings, unseen: frozenset[datetime] = frozenset()
) -> Iterator[str]:
    """Sequence, sums, fees and marks of the ledger, added up here once more.

    Args:
        unseen: ends of hours that the account may have passed over, since no price of them was known in time.
    """
    for number, event in enumerate(events):
        if event.sequence != number:
            yield f"event {number} carries the number {event.sequence}"
            return
    try:
        state = replay(events)
    except ContractViolation as error:
        yield str(error)
        return
    cash = sum(event.cash_change_usdt for event in events)
    if abs(cash - state.cash_usdt) > _USDT_OFF:
        yield f"cash is {state.cash_usdt:.6f} USDT, its changes add up to {cash:.6f}"
    position = sum(event.quantity_eth for event in events)
    if abs(position - state.position_eth) > _USDT_OFF:
        yield f"{state.position_eth} ETH are held, the fills add up to {position}"
    turnover = sum(abs(event.quantity_eth) * (event.price_usdt or 0.0) for event in events)
    fees = -sum(event.cash_change_usdt for event in events if event.kind == "fee")
    due = turnover * settings.account.taker_fee_bps / 1e4
    if abs(fees - due) > max(_USDT_OFF, 1e-6 * due):
        yield f"fees are {fees:.6f} USDT, {due:.6f} are due on {turnover:.2f} USDT of fills"
    marks = [event.event_time for event in events if event.kind == "mark"]
    for before, after in pairwise(marks):
        passed = [before + n * HOUR for n in range(1, int((after - before) / HOUR))]
        if after <= before or not unseen.issuperset(passed):
            yield f"the account was marked at {iso(before)} and next at {iso(after)}"
