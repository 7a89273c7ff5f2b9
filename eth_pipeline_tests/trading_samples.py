"""Sample markets and accounts for the tests of the paper account.

Belongs here: makers of hours, orders, settlements and settings. Does not belong: assertions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import strategies as st

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.fills import PriceBar
from eth_pipeline.trading.hours import HourPrices, Order, Settlement
from eth_pipeline.trading.ledger import Event
from eth_pipeline.trading.memory import Memory
from eth_pipeline.trading.timeline import process_hours
from eth_pipeline_tests.decision_samples import HOUR, NOON

FREE = {"max_daily_loss_share": 1.0, "max_weekly_loss_share": 1.0, "max_drawdown_share": 1.0}
"""No risk limit short of ruin."""
WIDE = {"max_single_share": 1.0, "max_total_share": 1.0, "reserve_share": 0.0}
"""No cap short of all equity."""


@dataclass(frozen=True)
class Market:
    """What an account meets: hours of prices, orders, funding."""

    prices: Mapping[datetime, HourPrices]
    wanted: Mapping[datetime, Order]
    due: tuple[Settlement, ...] = ()

    def between(self, first: datetime, end: datetime) -> "Market":
        """Its hours of [first, end), and the settlements known by `end`."""
        prices = {hour: known for hour, known in self.prices.items() if first <= hour < end}
        due = tuple(item for item in self.due if (item.known_at or item.instant) <= end)
        return Market(prices, self.wanted, due)


def hour_of(hour: datetime, *prices: float, marks: Sequence[float] | None = None) -> HourPrices:
    """An hour of (open, high, low, close), or of one price; the mark price the same unless given."""
    fills = PriceBar(*(prices if len(prices) == 4 else prices * 4))
    return HourPrices(fills=fills, marks=PriceBar(*marks) if marks else fills, known_at=hour + HOUR, note="")


def hours_of(*bars: float | tuple[float, float, float, float], first: datetime = NOON) -> dict[datetime, HourPrices]:
    """Hours one after the other."""
    times = [first + n * HOUR for n in range(len(bars))]
    return {
        time: hour_of(time, *(bar if isinstance(bar, tuple) else (bar,))) for time, bar in zip(times, bars, strict=True)
    }


def sides(*wanted: int | None, share: float = 0.2, first: datetime = NOON) -> dict[datetime, Order]:
    """An order per hour: +1, -1, 0 flat; None is no order."""
    return {first + n * HOUR: Order(side, share, True) for n, side in enumerate(wanted) if side is not None}


def run(
    market: Market,
    settings: AccountSettings,
    *,
    ledger: Sequence[Event] = (),
    memory: Memory | None = None,
) -> Book:
    """The book after the market's hours; with a deposit first where it begins."""
    book = Book(ledger, settings=settings, memory=memory)
    if book.begun is None:
        book.deposit(settings.initial_cash_usdt, at=NOON)
    process_hours(book, prices=market.prices, wanted=market.wanted, due=market.due)
    return book


@st.composite
def markets(draw: st.DrawFn, *, late: bool = True, longest: int = 40) -> Market:
    """Jumpy hours to the cent, some missing, the mark beside the last price; any orders and settlements."""
    cents = st.integers(-12_000, 12_000)
    price, prices, wanted, due = 2000.0, {}, {}, []
    for n in range(draw(st.integers(1, longest))):
        hour = NOON + n * HOUR
        start = max(round(price + draw(cents) / 1000, 2), 1.0)
        price = max(round(start + draw(cents) / 100, 2), 1.0)
        high = round(max(start, price) + abs(draw(cents)) / 100, 2)
        low = max(round(min(start, price) - abs(draw(cents)) / 100, 2), 0.5)
        basis = draw(st.sampled_from((0.0, 0.0, 1.5, -2.25)))
        marks = tuple(max(value + basis, 0.25) for value in (start, high, low, price))
        if draw(st.integers(0, 9)):
            prices[hour] = hour_of(hour, start, high, low, price, marks=marks)
        if draw(st.integers(0, 4)):
            share = draw(st.integers(0, 100)) / 100
            wanted[hour] = Order(draw(st.sampled_from((-1, 0, 1, 1))), share, bool(draw(st.integers(0, 4))))
        if draw(st.booleans()):
            instant = hour + timedelta(seconds=draw(st.sampled_from((0, 1, 1800))))
            delay = timedelta(minutes=draw(st.sampled_from((0, 0, 61, 200))) if late else 0)
            due.append(Settlement(instant, draw(st.integers(-30, 30)) / 10_000, instant + delay))
    return Market(prices, wanted, tuple(due))


def accounts(*, limited: bool = True) -> st.SearchStrategy[AccountSettings]:
    """Any account: with and without take-profit, reducing, slippage; tight and wide stops and limits."""
    loss = st.sampled_from((0.01, 0.05, 1.0)) if limited else st.just(1.0)
    return st.builds(
        AccountSettings,
        taker_fee_bps=st.sampled_from((0.0, 5.0)),
        slippage_bps=st.sampled_from((0.0, 2.0, 10.0)),
        leverage=st.sampled_from((1.5, 4.0, 25.0)),
        max_single_share=st.sampled_from((0.2, 1.0)),
        max_total_share=st.sampled_from((0.5, 1.0)),
        stop_loss_share=st.sampled_from((0.01, 0.03, 0.2)),
        take_profit_share=st.sampled_from((None, 0.01, 0.04)),
        reduce_below_share=st.sampled_from((0.0, 0.5, 1.0)),
        max_daily_loss_share=loss,
        max_weekly_loss_share=loss,
        max_drawdown_share=loss,
    )
