"""The order in which things happen to the account, hour by hour.

Belongs here: the course of an hour, many hours in memory. Does not belong: reading and storing (`account`), what each
thing does (`book`). The hourly step and the historical rebuild both run this code, so an hour has one meaning.

An hour starting at T, processed once its bar is closed:
  1. the signal of T was decided: on the account as it stood after the hour before;
  2. funding settled at T, on the position held until then;
  3. the signal of T, filled at the hour's open: HOLD and the opposite direction close; the same direction keeps the
     position, or reduces it where the order wants much less; a direction opens where the account is flat, the record
     allows opening and no risk limit is met. A blocked hour is HOLD, so it closes: an account that cannot see is flat.
     An hour without a record made in time is no order: the position stays, under its stop;
  4. funding settled within the hour;
  5. stop, take-profit and liquidation against the hour's mark high and low, whatever the signal said;
  6. the mark of the hour's close.
An hour for which there is neither last nor mark price is passed over once a later hour is known.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.settings import AccountSettings, Settings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.hours import (
    HourPrices,
    Order,
    Settlement,
    orders_from_signals,
    prices_from_bars,
    settlements_from_rates,
)

Decide = Callable[[datetime, Book], Order | None]
"""The order of an hour, given the account after the hour before; None where there is no order."""

_SETTLEMENT_JITTER = timedelta(minutes=1)


def process_hours(
    book: Book,
    *,
    prices: Mapping[datetime, HourPrices],
    wanted: Mapping[datetime, Order],
    due: Iterable[Settlement],
) -> None:
    """Continue `book` by the hours of `prices`, whose orders are known.

    Args:
        prices: by the hour's start, ascending.
        wanted: the order of each hour that has one.
        due: settlements; those charged already are passed over.
    """
    decide_hours(book, prices=prices, decide=lambda hour, _: wanted.get(hour), due=due)


def decide_hours(
    book: Book, *, prices: Mapping[datetime, HourPrices], decide: Decide, due: Iterable[Settlement]
) -> None:
    """Continue `book` by the hours of `prices`, asking for each hour's order when its time has come.

    Args:
        prices: by the hour's start, ascending.
        decide: called once per hour, in order, before anything of that hour happened; it may ask the book for the
            held share, the equity and the risk, and nothing it sees is later than the hour's start.
        due: settlements; those charged already are passed over.
    """
    waiting = deque(sorted(due, key=lambda settlement: (settlement.chargeable_from, settlement.instant)))
    for hour, known in prices.items():
        order = decide(hour, book)
        _settle(book, waiting, before=hour + _SETTLEMENT_JITTER, hour=hour, known=known)
        if order is not None:
            book.follow(order, hour=hour, known=known)
        _settle(book, waiting, before=hour + HOUR, hour=hour, known=known)
        book.protect(hour=hour, known=known)
        book.mark(hour=hour, known=known)


def rebuild_account(
    *, signals: pl.DataFrame, klines: pl.DataFrame, marks: pl.DataFrame, funding: pl.DataFrame, settings: Settings
) -> Book:
    """The account that would stand after these rows, all in memory: what hourly steps would have written.

    Args:
        signals: rows of `SIGNALS`; the account begins at the oldest.
        klines: rows of `KLINES`, bars of `settings.base_interval`.
        marks: rows of `MARK_KLINES`.
        funding: rows of `FUNDING_RATES`. Of all four only the settings' symbol and phase count.

    Returns:
        The book; its `events` are the ledger, `performance.equity_curve` of them is the equity by the hour.
    """
    signals, klines, marks, funding = (
        rows.filter(pl.col("symbol") == settings.symbol) for rows in (signals, klines, marks, funding)
    )
    signals = signals.filter(pl.col("phase") == settings.phase)
    begin = signals["decision_time"].min()
    if not isinstance(begin, datetime):
        return Book(settings=settings.account)
    book = open_account(settings.account, at=begin)
    first = pl.lit(begin, signals.schema["decision_time"])
    process_hours(
        book,
        prices=prices_from_bars(
            klines.filter(pl.col("open_time") >= first),
            marks.filter(pl.col("open_time") >= first),
            base_interval=settings.base_interval,
        ),
        wanted=orders_from_signals(signals),
        due=settlements_from_rates(funding.filter(pl.col("funding_time") >= first)),
    )
    return book


def open_account(settings: AccountSettings, *, at: datetime) -> Book:
    """An account that begins with its first deposit."""
    book = Book(settings=settings)
    book.deposit(settings.initial_cash_usdt, at=at)
    return book


def _settle(book: Book, waiting: deque[Settlement], *, before: datetime, hour: datetime, known: HourPrices) -> None:
    """Charge the settlements whose turn comes `before` an instant, and take them from `waiting`."""
    while waiting and waiting[0].chargeable_from < before:
        settlement = waiting.popleft()
        book.settle(settlement.instant, rate=settlement.rate, hour=hour, known=known)
