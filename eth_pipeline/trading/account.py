"""The paper account: closed hours and signals become ledger events.

Belongs here: the order of what happens within an hour. Does not belong: prices and fees (`fills`), adding up
(`ledger`), reading (`hours`).

An hour starting at T, processed once its bar is closed:
  1. funding settled at T, on the position held until then;
  2. the signal of T, filled at the hour's open: HOLD and the opposite direction close; a direction opens where the
     account is flat and the record allows opening; the same direction keeps the position as it is. A blocked hour
     is HOLD, so it closes: an account that cannot see is flat. An hour without a record made in time is no order:
     the position stays, under its stop;
  3. funding settled within the hour;
  4. stop and liquidation against the hour's mark high and low, whatever the signal said;
  5. the mark of the hour's close.
An hour for which there is neither last nor mark price is passed over once a later hour is known.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR, require_utc
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.hours import HourPrices, Order, Settlement, first_signal, hour_prices, orders, settlements
from eth_pipeline.trading.ledger import (
    ACCOUNT_EVENTS,
    EMPTY,
    AccountState,
    Event,
    events_from_frame,
    frame_from_events,
    replay,
)
from eth_pipeline.trading.performance import performance

__all__ = ["advance_account", "held_share", "performance", "process_hours", "read_events"]

LATE_FUNDING_WINDOW = timedelta(days=40)
"""How far back a settlement may become known late and still be charged: the archive publishes funding monthly."""
_SETTLEMENT_JITTER = timedelta(minutes=1)


def advance_account(*, lake: Lake, settings: Settings, until: datetime) -> AccountState:
    """Process every closed hour up to `until` that the ledger does not hold yet, and return the account.

    Running it twice adds nothing: an hour is in the ledger or not, and all events of one call are one commit.
    Processing hour by hour and processing at once give the same ledger, where the rows came in time.

    Args:
        lake: bars, funding, signals; the ledger is written there.
        settings: symbol, phase, base interval, account settings.
        until: exchange time; rows that were not known by then do not count.

    Returns:
        The account after the newest processed hour; an empty one before the first signal.
    """
    until = require_utc(until)
    ledger = read_events(lake, settings=settings)
    begin = first_signal(lake, settings=settings)
    if begin is None:
        return EMPTY
    book = Book(ledger, settings=settings.account)
    if not ledger:
        book.deposit(settings.account.initial_cash_usdt, at=begin[0])
    begun = book.events[0].event_time
    first = book.state.processed_until or begun
    since = max(begun, first - LATE_FUNDING_WINDOW)
    process_hours(
        book,
        prices=hour_prices(lake, settings=settings, first=first, until=until),
        wanted=orders(lake, settings=settings, first=first, until=until),
        due=tuple(
            settlement
            for settlement in settlements(lake, settings=settings, first=since, until=until)
            if not book.charged(settlement.instant)
        ),
    )
    if book.new_events:
        rows = frame_from_events(book.new_events, symbol=settings.symbol, phase=settings.phase, provenance=begin[1])
        lake.upsert(ACCOUNT_EVENTS, rows)
    return book.state


def read_events(lake: Lake, *, settings: Settings) -> tuple[Event, ...]:
    """The ledger of the settings' symbol and phase."""
    where = (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)
    return events_from_frame(lake.read(ACCOUNT_EVENTS, where=where))


def held_share(lake: Lake, *, settings: Settings, mark_price: float | None) -> float | None:
    """Signed share of equity that the account holds, positive for long; None where it is flat.

    Args:
        mark_price: USDT per coin; the ledger's newest price without it.
    """
    state = replay(read_events(lake, settings=settings))
    price = state.last_price_usdt if mark_price is None else mark_price
    if not state.position_eth or state.entry_price is None or price is None:
        return None
    equity = state.cash_usdt + state.position_eth * (price - state.entry_price)
    return state.position_eth * price / equity if equity > 0 else None


def process_hours(
    book: Book,
    *,
    prices: Mapping[datetime, HourPrices],
    wanted: Mapping[datetime, Order],
    due: tuple[Settlement, ...],
) -> None:
    """Continue `book` by the hours of `prices`, oldest first.

    Args:
        prices: by the hour's start, ascending.
        wanted: the order of each hour that has one.
        due: settlements that were not charged yet, oldest first.
    """
    for hour, known in prices.items():
        due = _settle(book, due, before=hour + _SETTLEMENT_JITTER, hour=hour, known=known)
        if order := wanted.get(hour):
            book.follow(order, hour=hour, known=known)
        due = _settle(book, due, before=hour + HOUR, hour=hour, known=known)
        book.protect(hour=hour, known=known)
        book.mark(hour=hour, known=known)


def _settle(
    book: Book, due: tuple[Settlement, ...], *, before: datetime, hour: datetime, known: HourPrices
) -> tuple[Settlement, ...]:
    """Charge the settlements `before` an instant and return the others."""
    reached = sum(item.instant < before for item in due)
    for item in due[:reached]:
        book.settle(item.instant, rate=item.rate, hour=hour, known=known)
    return due[reached:]
