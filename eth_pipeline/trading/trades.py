"""Single trades of a ledger: what each position earned from its opening until nothing was left.

Belongs here: finding them. Does not belong: figures of the whole account (`performance`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from eth_pipeline.trading.ledger import EXITS, Event


@dataclass(frozen=True)
class Trade:
    """One position from its opening until nothing was left.

    Attributes:
        quantity_eth: as opened, negative for short.
        exit_kind: the event that took the last part.
        fees_usdt: of all its fills.
        funding_usdt: received minus paid.
        slippage_usdt: what its fills cost against their references; already in `net_pnl_usdt`.
        net_pnl_usdt: realised, after fees and funding.
    """

    opened_at: datetime
    closed_at: datetime
    quantity_eth: float
    entry_usdt: float
    exit_kind: str
    fees_usdt: float
    funding_usdt: float
    slippage_usdt: float
    net_pnl_usdt: float


def closed_trades(events: Iterable[Event]) -> tuple[Trade, ...]:
    """Trades that ended, oldest first; funding that became known after the end belongs to no trade."""
    trades: list[Trade] = []
    opened: Event | None = None
    own: list[Event] = []
    for event in events:
        if event.kind == "open":
            opened, own = event, []
        if opened is None:
            continue
        own.append(event)
        if event.kind in EXITS:
            trades.append(_trade(opened, event, own))
            opened = None
    return tuple(trades)


def _trade(opened: Event, ended: Event, own: Sequence[Event]) -> Trade:
    return Trade(
        opened_at=opened.event_time,
        closed_at=ended.event_time,
        quantity_eth=opened.quantity_eth,
        entry_usdt=opened.price_usdt or 0.0,
        exit_kind=ended.kind,
        fees_usdt=-math.fsum(event.cash_change_usdt for event in own if event.kind == "fee"),
        funding_usdt=math.fsum(event.cash_change_usdt for event in own if event.kind == "funding"),
        slippage_usdt=math.fsum(event.slippage_usdt for event in own),
        net_pnl_usdt=math.fsum(event.cash_change_usdt for event in own),
    )
