"""The account against two others: one kept in decimals in another way, one computed by hand.

The reference below shares no code with the account. It keeps a purse that pays the full price of what is bought and
receives that of what is sold, so profit is never computed: equity is the purse plus the position at its price.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.fills import PriceBar
from eth_pipeline.trading.hours import HourPrices, Order, Settlement
from eth_pipeline.trading.performance import equity_curve
from eth_pipeline.trading.timeline import open_account, process_hours
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.trading_samples import FREE, WIDE, Market, accounts, hour_of, markets, run

CENT = 0.005
OHLC = ("open", "high", "low", "close")
MINUTE = timedelta(minutes=1)


def decimal(value: float) -> Decimal:
    return Decimal(repr(value))


@dataclass
class Purse:
    """An account in decimals."""

    rules: AccountSettings
    money: Decimal = Decimal(10_000)
    coins: Decimal = Decimal(0)
    average: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    trades: int = 0
    past: list[tuple[datetime, Decimal]] = field(default_factory=list)
    paid: set[datetime] = field(default_factory=set)

    def worth(self, price: Decimal) -> Decimal:
        return self.money + self.coins * price

    def trade(self, coins: Decimal, price: float | Decimal, at: datetime, *, free: bool = False) -> None:
        """Buy (or sell) at the market; `free` of fee and slippage where the exchange liquidates."""
        worse = Decimal(0) if free else decimal(self.rules.slippage_bps) / 10_000
        got = Decimal(price if isinstance(price, Decimal) else decimal(price)) * (1 + (worse if coins > 0 else -worse))
        fee = Decimal(0) if free else abs(coins) * got * decimal(self.rules.taker_fee_bps) / 10_000
        if not self.coins:
            self.average = got
        self.money -= coins * got + fee
        self.fees += fee
        self.coins += coins
        self.trades += self.coins == 0
        self.past.append((at, self.coins))

    def pay_funding(self, due: tuple[Settlement, ...], *, before: datetime, end: datetime, price: float) -> None:
        for item in due:
            known = item.known_at or item.instant
            if item.instant in self.paid or item.instant >= before or known > end:
                continue
            self.paid.add(item.instant)
            second = item.instant.replace(second=0, microsecond=0)
            held = next((coins for time, coins in reversed(self.past) if time < second), Decimal(0))
            amount = held * decimal(price) * decimal(item.rate)
            self.money -= amount
            self.funding -= amount

    def whole_steps(self, share: float, price: Decimal, worth: Decimal) -> Decimal:
        rules = self.rules
        cap = min(share, rules.max_single_share, rules.max_total_share, rules.leverage * (1 - rules.reserve_share))
        steps = max(worth, Decimal(0)) * decimal(cap) / price * 1000 + Decimal("1e-9")
        return steps.to_integral_value(ROUND_FLOOR) / 1000

    def follow(self, order: Order, hour: datetime, price: float) -> None:
        at = decimal(price)
        if self.coins * order.side > 0:
            keep = self.whole_steps(order.share, at, self.worth(at)) * order.side
            if abs(keep) < abs(self.coins) * decimal(self.rules.reduce_below_share):
                self.trade(keep - self.coins, price, hour)
            return
        if self.coins:
            self.trade(-self.coins, price, hour)
        if order.side and order.may_open:
            worse = 1 + order.side * decimal(self.rules.slippage_bps) / 10_000
            coins = self.whole_steps(order.share, at * worse, self.money)
            if coins:
                self.trade(coins * order.side, price, hour)

    def guard(self, known: HourPrices, hour: datetime) -> None:
        if not self.coins:
            return
        rules, long = self.rules, self.coins > 0
        mark, sign = known.marks, 1 if long else -1
        worst, best = (mark.low, mark.high) if long else (mark.high, mark.low)

        def beyond(price: float, level: Decimal, direction: int) -> bool:
            return (decimal(price) - level) * direction >= 0

        margin = 1 / decimal(rules.leverage)
        stop = self.average * (1 - sign * decimal(rules.stop_loss_share))
        liquidation = self.average * (1 - sign * (margin - decimal(rules.maintenance_margin_share)))
        profit = (
            None if rules.take_profit_share is None else self.average * (1 + sign * decimal(rules.take_profit_share))
        )
        last = hour + HOUR - timedelta(microseconds=1)
        nearest_is_stop = (stop - liquidation) * sign > 0
        if profit is not None and beyond(mark.open, profit, sign):
            self.trade(-self.coins, profit, last)
        elif beyond(worst, liquidation, -sign) and (not nearest_is_stop or beyond(mark.open, liquidation, -sign)):
            self.trade(-self.coins, self.average * (1 - sign * margin), last, free=True)
        elif beyond(worst, stop, -sign):
            self.trade(-self.coins, mark.open if beyond(mark.open, stop, -sign) else stop, last)
        elif profit is not None and beyond(best, profit, sign):
            self.trade(-self.coins, profit, last)


def reference(market: Market, rules: AccountSettings) -> tuple[Purse, list[Decimal]]:
    """The purse after the market, and its worth at the end of every hour."""
    purse, worths = Purse(rules), []
    for hour, known in sorted(market.prices.items()):
        end, price = hour + HOUR, known.marks.open
        purse.pay_funding(market.due, before=hour + MINUTE, end=end, price=price)
        if hour in market.wanted:
            purse.follow(market.wanted[hour], hour, known.fills.open)
        purse.pay_funding(market.due, before=end, end=end, price=price)
        purse.guard(known, hour)
        worths.append(purse.worth(decimal(known.marks.close)))
    return purse, worths


@settings(max_examples=80, deadline=None)
@given(markets(), accounts(limited=False))
def test_any_market_gives_the_same_account_to_the_cent(market: Market, account: AccountSettings) -> None:
    """Equity at every hour, fees, funding and the number of trades."""
    book = run(market, account)
    purse, worths = reference(market, account)
    ruined = any(event.kind == "refused" and "nothing to trade with" in event.note for event in book.events)
    equities = [point.equity_usdt for point in book.memory().equity if point.time > NOON]
    assert equities == pytest.approx([float(worth) for worth in worths], abs=CENT)
    assert book.state.position_eth == pytest.approx(float(purse.coins), abs=1e-9)
    assert book.state.fees_usdt == pytest.approx(float(purse.fees), abs=CENT)
    assert book.state.funding_usdt == pytest.approx(float(purse.funding), abs=CENT)
    assert book.state.closed_trades == purse.trades
    assert not ruined or book.state.cash_usdt <= 0


def test_three_months_of_real_hours_give_the_same_account_to_the_cent(real_data: Path) -> None:
    """March to May 2024, reversing every seven hours, with the funding that was paid."""
    klines, marks, rates = (
        pl.read_parquet(real_data / name)
        .with_columns(pl.col("open_time").cast(pl.Datetime("us", "UTC")))
        .filter((pl.col("open_time").dt.year() == 2024) & pl.col("open_time").dt.month().is_between(3, 5))
        for name in ("klines_ETHUSDT_1h.parquet", "mark_ETHUSDT_1h.parquet", "funding_ETHUSDT.parquet")
    )
    prices = {
        last["open_time"]: HourPrices(
            fills=PriceBar(*(last[name] for name in OHLC)),
            marks=PriceBar(*(mark[name] for name in OHLC)),
            known_at=last["open_time"] + HOUR,
            note="",
        )
        for last, mark in zip(klines.iter_rows(named=True), marks.iter_rows(named=True), strict=True)
    }
    wanted = {hour: Order((-1, 1)[n // 7 % 2], (0.5, 0.2)[n // 3 % 2], True) for n, hour in enumerate(prices)}
    due = tuple(Settlement(time, rate) for time, rate in rates.select("open_time", "funding_rate").iter_rows())
    market, account = Market(prices, wanted, due), AccountSettings(**{**FREE, **WIDE})
    book = open_account(account, at=min(prices))
    process_hours(book, prices=prices, wanted=wanted, due=due)
    purse, worths = reference(market, account)
    curve = equity_curve(book.events)
    assert curve.height == 2208
    assert curve["equity_usdt"].to_list() == pytest.approx([float(worth) for worth in worths], abs=CENT)
    assert book.state.funding_usdt == pytest.approx(float(purse.funding), abs=CENT)
    assert book.state.fees_usdt == pytest.approx(float(purse.fees), abs=CENT)
    assert book.state.closed_trades == purse.trades > 300


BY_HAND = AccountSettings(
    taker_fee_bps=5.0,
    slippage_bps=10.0,
    leverage=5.0,
    max_single_share=0.5,
    max_total_share=1.0,
    reserve_share=0.0,
    stop_loss_share=0.03,
    take_profit_share=0.04,
    reduce_below_share=0.5,
)


def market_by_hand() -> Market:
    bars = [
        (2000, 2010, 2000, 2010),
        (2010, 2020, 2010, 2020),
        (2020, 2030, 2020, 2030),
        (2030, 2040, 2030, 2040),
        (2040, 2040, 2030, 2030),
        (2030, 2035, 1950, 1960),
        (1960, 1965, 1890, 1900),
        (1900, 1900, 1900, 1900),
        (1900, 1910, 1900, 1910),
        (2300, 2310, 2290, 2295),
        (2295, 2295, 2295, 2295),
    ]
    wanted = {0: (1, 0.5), 2: (1, 0.2), 3: (1, 0.5), 4: (-1, 0.5), 6: (1, 0.5), 7: (0, 0.0), 8: (-1, 0.5), 10: (1, 0.5)}
    half = timedelta(minutes=30)
    return Market(
        {NOON + n * HOUR: hour_of(NOON + n * HOUR, *map(float, bar)) for n, bar in enumerate(bars)},
        {NOON + n * HOUR: Order(side, share, True) for n, (side, share) in wanted.items()},
        (
            Settlement(NOON + 4 * HOUR, 0.0001, NOON + 4 * HOUR),
            Settlement(NOON + 8 * HOUR + half, 0.0003, NOON + 8 * HOUR + half),
            Settlement(NOON + 2 * HOUR + half, 0.0002, NOON + 5 * HOUR + half),
        ),
    )


def test_thirty_three_events_by_hand() -> None:
    """Every cash change was computed on paper from the rules; nothing here came from the program."""
    expected: list[tuple[str, float, float | None, float]] = [
        ("deposit", 0.0, None, 10_000.0),
        # 12:00 long: 2000 x 1.001 = 2002; 0.5 x 10,000 / 2002 = 2.4975.., so 2.497; fee 2.497 x 2002 x 0.0005
        ("open", 2.497, 2002.0, 0.0),
        ("fee", 0.0, 2002.0, -2.499497),
        ("mark", 0.0, 2010.0, 0.0),
        ("mark", 0.0, 2020.0, 0.0),
        # 14:00 a fifth is wanted: equity 9,997.500503 + 2.497 x 18 = 10,042.446503; x 0.2 / 2020 = 0.9943: 0.994 stay
        # and 1.503 go at 2020 x 0.999 = 2017.98; fee 1.503 x 2017.98 x 0.0005; profit 1.503 x (2017.98 - 2002)
        ("fee", 0.0, 2017.98, -1.51651197),
        ("reduce", -1.503, 2017.98, 24.01794),
        ("mark", 0.0, 2030.0, 0.0),
        # 15:00 half is wanted again: the same direction is not added to
        ("mark", 0.0, 2040.0, 0.0),
        # 16:00 funding 0.994 x 2040 x 0.0001, then the flip at 2040 x 0.999 = 2037.96:
        # fee 0.994 x 2037.96 x 0.0005; profit 0.994 x (2037.96 - 2002);
        # cash 10,054.530529 x 0.5 / 2037.96 = 2.4668, so 2.466; fee 2.466 x 2037.96 x 0.0005
        ("funding", 0.0, 2040.0, -0.202776),
        ("fee", 0.0, 2037.96, -1.01286612),
        ("close", -0.994, 2037.96, 35.74424),
        ("open", -2.466, 2037.96, 0.0),
        ("fee", 0.0, 2037.96, -2.51280468),
        ("mark", 0.0, 2030.0, 0.0),
        # 17:00 the settlement of 14:30 becomes known: 0.994 were held then; 0.994 x 2030 x 0.0002;
        # the low of 1950 meets the take-profit 2037.96 x 0.96 = 1956.4416, bought at x 1.001 = 1958.3980416;
        # fee 2.466 x 1958.3980416 x 0.0005; profit 2.466 x (2037.96 - 1958.3980416)
        ("funding", 0.0, 2030.0, -0.403564),
        ("fee", 0.0, 1958.3980416, -2.41470479),
        ("take_profit", 2.466, 1958.3980416, 196.19978941),
        ("mark", 0.0, 1960.0, 0.0),
        # 18:00 long at 1960 x 1.001 = 1961.96: 10,245.399245 x 0.5 / 1961.96 = 2.6110.., so 2.611; fee x 0.0005;
        # the low of 1890 meets the stop 1961.96 x 0.97 = 1903.1012, sold at x 0.999 = 1901.1980988;
        # fee 2.611 x 1901.1980988 x 0.0005; loss 2.611 x (1901.1980988 - 1961.96)
        ("open", 2.611, 1961.96, 0.0),
        ("fee", 0.0, 1961.96, -2.56133878),
        ("fee", 0.0, 1901.1980988, -2.48201412),
        ("stop", -2.611, 1901.1980988, -158.64932403),
        ("mark", 0.0, 1900.0, 0.0),
        # 19:00 HOLD
        ("mark", 0.0, 1900.0, 0.0),
        # 20:00 short at 1900 x 0.999 = 1898.1: 10,081.706568 x 0.5 / 1898.1 = 2.6557, so 2.655; fee x 0.0005;
        # 20:30 the short receives 2.655 x 1900 x 0.0003
        ("open", -2.655, 1898.1, 0.0),
        ("fee", 0.0, 1898.1, -2.51972775),
        ("funding", 0.0, 1900.0, 1.51335),
        ("mark", 0.0, 1910.0, 0.0),
        # 21:00 opens at 2300, beyond the liquidation price 1898.1 x (1 + 1/5 - 0.005) = 2268.2295: the margin is gone
        # at 1898.1 x 1.2 = 2277.72; loss 2.655 x 379.62, no fee
        ("liquidation", 2.655, 2277.72, -1007.8911),
        ("mark", 0.0, 2295.0, 0.0),
        # 22:00 long is wanted, but 9,072.81 of 10,000 are left: 9.27 % in a day, 5 % allowed
        ("refused", 0.0, 2295.0, 0.0),
        ("mark", 0.0, 2295.0, 0.0),
    ]
    book = run(market_by_hand(), BY_HAND)
    found = [(e.kind, e.quantity_eth, e.price_usdt, e.cash_change_usdt) for e in book.events]
    assert len(expected) == 33
    assert [event[0] for event in found] == [event[0] for event in expected]
    for ours, by_hand in zip(found, expected, strict=True):
        assert ours[1:] == pytest.approx(by_hand[1:], abs=1e-8)
    assert book.events[-2].note == (
        "the account lost 9.27% in 24 hours, from 10,000.00 USDT at 2025-03-03T12:00:00Z to 9,072.81; limit 5%"
    )
    state = book.state
    # 10,000 + sum of the cash column
    assert state.cash_usdt == state.equity_usdt == pytest.approx(9_072.80909018, abs=1e-7)
    # 2.499497 + 1.51651197 + 1.01286612 + 2.51280468 + 2.41470479 + 2.56133878 + 2.48201412 + 2.51972775
    assert state.fees_usdt == pytest.approx(17.51946521, abs=1e-7)
    # -0.202776 - 0.403564 + 1.51335
    assert state.funding_usdt == pytest.approx(0.90701, abs=1e-9)
    # four trades: the long made 59.76 less fees and funding, the short 196.20; the stop and the liquidation lost
    assert (state.closed_trades, state.wins) == (4, 2)
    # 2.497 x 2 + 1.503 x 2.02 + 0.994 x 2.04 + 2.466 x 2.04 + 2.466 x 1.9564416 + 2.611 x 1.96
    # + 2.611 x 1.9031012 + 2.655 x 1.9
    assert state.slippage_usdt == pytest.approx(35.0441022188, abs=1e-6)


def test_the_reference_agrees_with_the_hand() -> None:
    purse, worths = reference(market_by_hand(), BY_HAND)
    # it knows no risk limits, so it opens at 22:00
    assert float(worths[9]) == pytest.approx(9_072.80909018, abs=1e-7)
    assert purse.trades == 4
