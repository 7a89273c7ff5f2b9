"""The ledger: replaying it gives the account, and it adds up at every event."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.errors import ContractViolation
from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.account import process_hours
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.fills import PriceBar
from eth_pipeline.trading.hours import HourPrices, Order, Settlement
from eth_pipeline.trading.ledger import (
    ACCOUNT_EVENTS,
    EMPTY,
    Event,
    apply,
    events_from_frame,
    frame_from_events,
    replay,
)
from eth_pipeline.trading.performance import equity_curve, performance
from eth_pipeline_tests.decision_samples import HOUR, NOON

ACCOUNT = AccountSettings(max_single_share=1.0, leverage=4.0, stop_loss_share=0.03)


def _hour(hour: datetime, open_: float, high: float, low: float, close: float) -> HourPrices:
    bar = PriceBar(open_, high, low, close)
    return HourPrices(fills=bar, marks=bar, known_at=hour + HOUR, note="")


@st.composite
def markets(draw: st.DrawFn) -> tuple[dict[datetime, HourPrices], dict[datetime, Order], tuple[Settlement, ...]]:
    """Up to 40 hours of jumpy prices, some missing, with any orders and settlements."""
    moves = draw(st.lists(st.tuples(*[st.floats(-0.06, 0.06)] * 4), min_size=1, max_size=40))
    price, prices, wanted, due = 2000.0, {}, {}, []
    for n, (gap, move, up, down) in enumerate(moves):
        hour = NOON + n * HOUR
        start = price * (1 + gap / 6)
        price = start * (1 + move)
        if draw(st.integers(0, 9)):
            top, bottom = max(start, price) * (1 + abs(up)), min(start, price) * (1 - abs(down))
            prices[hour] = _hour(hour, start, top, bottom, price)
        if draw(st.integers(0, 4)):
            wanted[hour] = Order(
                side=draw(st.sampled_from((-1, 0, 1))), share=draw(st.floats(0, 1)), may_open=draw(st.booleans())
            )
        if draw(st.booleans()):
            jitter = timedelta(seconds=draw(st.sampled_from((0, 1, 1800))))
            due.append(Settlement(hour + jitter, draw(st.floats(-0.003, 0.003))))
    return prices, wanted, tuple(due)


def _run(
    prices: Mapping[datetime, HourPrices],
    wanted: Mapping[datetime, Order],
    due: tuple[Settlement, ...],
    *,
    ledger: tuple[Event, ...] = (),
) -> Book:
    book = Book(ledger, settings=ACCOUNT)
    if not ledger:
        book.deposit(10_000.0, at=NOON)
    process_hours(book, prices=prices, wanted=wanted, due=tuple(s for s in due if not book.charged(s.instant)))
    return book


@settings(max_examples=80, deadline=None)
@given(markets())
def test_cash_and_position_are_equity_at_every_event_and_replay_gives_the_account(market: tuple) -> None:  # type: ignore[type-arg]  # drawn by `markets`
    book = _run(*market)
    assert replay(book.events) == book.state
    state, cash, position, entry, fees, funding = EMPTY, 0.0, 0.0, 0.0, 0.0, 0.0
    for event in book.events:
        state = apply(state, event)
        cash += event.cash_change_usdt
        position += event.quantity_eth
        entry = event.price_usdt or 0.0 if event.kind == "open" else entry
        fees -= event.cash_change_usdt if event.kind == "fee" else 0
        funding += event.cash_change_usdt if event.kind == "funding" else 0
        value = position * ((event.price_usdt or 0.0) - entry)
        assert state.equity_usdt == pytest.approx(cash + value)
        assert state.net_pnl_usdt == pytest.approx(state.equity_usdt - 10_000)
        assert (state.fees_usdt, state.funding_usdt) == (pytest.approx(fees), pytest.approx(funding))
        assert state.max_drawdown_share >= 0


@settings(max_examples=80, deadline=None)
@given(markets())
def test_fees_and_funding_are_counted_once(market: tuple) -> None:  # type: ignore[type-arg]  # drawn by `markets`
    """The reviewed system counted fees twice and never charged funding."""
    prices, wanted, due = market
    book = _run(prices, wanted, due)
    fills = [event for event in book.events if event.kind in ("open", "close", "stop")]
    fees = [event for event in book.events if event.kind == "fee"]
    expected = sorted(abs(f.quantity_eth) * (f.price_usdt or 0) * 5e-4 for f in fills)
    assert sorted(-fee.cash_change_usdt for fee in fees) == pytest.approx(expected)
    charged = [event.event_time for event in book.events if event.kind == "funding"]
    assert len(charged) == len(set(charged))
    assert set(charged) <= {settlement.instant for settlement in due}


@settings(max_examples=80, deadline=None)
@given(markets())
def test_nothing_opens_without_an_order_that_may_open(market: tuple) -> None:  # type: ignore[type-arg]  # drawn by `markets`
    prices, wanted, due = market
    for event in _run(prices, wanted, due).events:
        if event.kind == "open":
            order = wanted[event.event_time]
            assert order.may_open
            assert order.side * event.quantity_eth > 0
            assert event.decision_time == event.event_time


@settings(max_examples=40, deadline=None)
@given(markets(), st.integers(0, 40))
def test_hour_by_hour_gives_the_same_ledger_as_at_once(market: tuple, cut: int) -> None:  # type: ignore[type-arg]  # drawn by `markets`
    prices, wanted, due = market
    until = NOON + cut * HOUR
    early = _run({h: p for h, p in prices.items() if h < until}, wanted, tuple(s for s in due if s.instant < until))
    later = {h: p for h, p in prices.items() if h >= until}
    assert _run(later, wanted, due, ledger=tuple(early.events)).events == _run(prices, wanted, due).events


@settings(max_examples=20, deadline=None)
@given(markets())
def test_a_stored_ledger_is_the_ledger(market: tuple) -> None:  # type: ignore[type-arg]  # drawn by `markets`
    events = _run(*market).events
    rows = ACCOUNT_EVENTS.conform(frame_from_events(events, symbol="ETHUSDT", phase="paper", provenance="simulated"))
    assert events_from_frame(rows) == tuple(events)


def test_a_ledger_with_a_hole_or_a_foreign_event_is_refused() -> None:
    hours = {NOON + n * HOUR: _hour(NOON + n * HOUR, 2000, 2001, 1999, 2000) for n in range(3)}
    events = _run(hours, {NOON: Order(1, 0.5, True)}, ()).events
    with pytest.raises(ContractViolation, match="sequence is 2, expected 1"):
        replay([events[0], *events[2:]])
    opened = next(event for event in events if event.kind == "open")
    with pytest.raises(ContractViolation, match="are held"):
        replay([*events, replace(opened, sequence=len(events))])
    with pytest.raises(ContractViolation, match="closes"):
        replay([*events, replace(opened, sequence=len(events), kind="close", quantity_eth=-0.1)])
    with pytest.raises(ContractViolation, match="never does"):
        replay([*events, replace(opened, sequence=len(events), kind="fee")])


def test_performance_has_no_rates_without_a_basis() -> None:
    figures = performance(EMPTY)
    assert (figures["win_rate_share"], figures["exposure_share"], figures["return_share"]) == (None, None, None)


def test_a_win_is_judged_after_its_own_fees_and_funding() -> None:
    """0.1 % up pays neither the round trip of 14 bps nor the funding."""
    hours = {NOON + n * HOUR: _hour(NOON + n * HOUR, p, p, p, p) for n, p in enumerate((2000, 2002, 2002, 2060))}
    orders = {NOON: Order(1, 0.5, True), NOON + HOUR: Order(0, 0, True), NOON + 2 * HOUR: Order(1, 0.5, True)}
    orders[NOON + 3 * HOUR] = Order(0, 0, True)
    book = _run(hours, orders, ())
    assert (book.state.closed_trades, book.state.wins) == (2, 1)
    figures = performance(book.state)
    assert (figures["win_rate_share"], figures["exposure_share"]) == (0.5, 0.5)
    curve = equity_curve(book.events)
    assert curve.height == 4
    assert curve["equity_usdt"][-1] == book.state.equity_usdt
