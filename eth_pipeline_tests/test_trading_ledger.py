"""The ledger: replaying it gives the account, and it adds up at every event."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eth_pipeline.errors import ContractViolation
from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.hours import Order
from eth_pipeline.trading.ledger import (
    ACCOUNT_EVENTS,
    EMPTY,
    EXITS,
    apply,
    events_from_frame,
    frame_from_events,
    replay,
)
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.trading_samples import FREE, WIDE, Market, accounts, hours_of, markets, run, sides

ACCOUNT = AccountSettings(**FREE, **WIDE)
FILLS = ("open", "reduce", "close", "stop", "take_profit")


@settings(max_examples=25, deadline=None)
@given(markets(), accounts())
def test_cash_and_position_are_equity_at_every_event_and_replay_gives_the_account(
    market: Market, account: AccountSettings
) -> None:
    book = run(market, account)
    assert replay(book.events) == book.state
    state, cash, position, entry, fees, funding, slippage = EMPTY, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for event in book.events:
        state = apply(state, event)
        cash += event.cash_change_usdt
        position += event.quantity_eth
        entry = event.price_usdt or 0.0 if event.kind == "open" else entry
        fees -= event.cash_change_usdt if event.kind == "fee" else 0
        funding += event.cash_change_usdt if event.kind == "funding" else 0
        slippage += (
            abs(event.quantity_eth) * abs((event.price_usdt or 0) - (event.reference_usdt or 0)) * (event.kind in FILLS)
        )
        value = position * ((event.price_usdt or 0.0) - entry)
        assert state.equity_usdt == pytest.approx(cash + value, abs=1e-6)
        assert state.net_pnl_usdt == pytest.approx(state.equity_usdt - 10_000, abs=1e-6)
        assert (state.fees_usdt, state.funding_usdt) == (pytest.approx(fees), pytest.approx(funding))
        assert state.slippage_usdt == pytest.approx(slippage, abs=1e-6)
        assert state.max_drawdown_share >= 0


@settings(max_examples=25, deadline=None)
@given(markets(), accounts())
def test_fees_and_funding_are_counted_once(market: Market, account: AccountSettings) -> None:
    """The reviewed system counted fees twice and never charged funding."""
    book = run(market, account)
    fills = [event for event in book.events if event.kind in FILLS]
    fees = [event for event in book.events if event.kind == "fee"]
    expected = sorted(abs(f.quantity_eth) * (f.price_usdt or 0) * account.taker_fee_bps * 1e-4 for f in fills)
    assert sorted(-fee.cash_change_usdt for fee in fees) == pytest.approx(expected)
    charged = [event.event_time for event in book.events if event.kind == "funding"]
    assert len(charged) == len(set(charged))
    assert set(charged) <= {settlement.instant for settlement in market.due}


@settings(max_examples=25, deadline=None)
@given(markets(), accounts())
def test_nothing_opens_without_an_order_that_may_open(market: Market, account: AccountSettings) -> None:
    for event in run(market, account).events:
        if event.kind == "open":
            order = market.wanted[event.event_time]
            assert order.may_open
            assert order.side * event.quantity_eth > 0
            assert event.decision_time == event.event_time


@settings(max_examples=25, deadline=None)
@given(markets(), accounts(), st.integers(0, 40))
def test_hour_by_hour_gives_the_same_ledger_as_at_once(market: Market, account: AccountSettings, cut: int) -> None:
    """Also where funding became known late, and whatever was held over the cut."""
    until, end = NOON + cut * HOUR, NOON + 50 * HOUR
    early = run(market.between(NOON, until), account)
    later = market.between(until, end)
    assert run(later, account, ledger=early.events).events == run(market.between(NOON, end), account).events


@settings(max_examples=25, deadline=None)
@given(markets(), accounts())
def test_a_trade_ends_exactly_when_nothing_is_left(market: Market, account: AccountSettings) -> None:
    """The reviewed system lost the profit of partial exits."""
    state = EMPTY
    for event in run(market, account).events:
        held, trades = state.position_eth, state.closed_trades
        state = apply(state, event)
        assert state.closed_trades - trades == (event.kind in EXITS)
        assert (event.kind in EXITS) == (held != 0 and state.position_eth == 0)
        if event.kind == "reduce":
            assert 0 < abs(state.position_eth) < abs(held)
            assert state.position_eth * held > 0


@settings(max_examples=20, deadline=None)
@given(markets(), accounts())
def test_a_stored_ledger_is_the_ledger(market: Market, account: AccountSettings) -> None:
    events = run(market, account).events
    rows = ACCOUNT_EVENTS.conform(frame_from_events(events, symbol="ETHUSDT", phase="paper", provenance="simulated"))
    assert events_from_frame(rows) == tuple(events)


def test_a_ledger_with_a_hole_or_a_foreign_event_is_refused() -> None:
    events = run(Market(hours_of(2000, 2000, 2000), sides(1, share=0.5)), ACCOUNT).events
    with pytest.raises(ContractViolation, match="sequence is 2, expected 1"):
        replay([events[0], *events[2:]])
    opened = next(event for event in events if event.kind == "open")
    foreign = replace(opened, sequence=len(events))
    for changed, problem in (
        (foreign, "are held"),
        (replace(foreign, kind="close", quantity_eth=-0.1), "closes"),
        (replace(foreign, kind="reduce", quantity_eth=0.1), "takes -0.1 ETH off"),
        (replace(foreign, kind="reduce", quantity_eth=-opened.quantity_eth), "takes 2.499 ETH off 2.499 ETH"),
        (replace(foreign, kind="refused"), "never does"),
        (replace(foreign, kind="fee"), "never does"),
    ):
        with pytest.raises(ContractViolation, match=problem):
            replay([*events, changed])


def test_a_win_is_judged_after_its_own_fees_and_funding() -> None:
    """0.1 % up pays neither the round trip of 14 bps nor the funding."""
    book = run(Market(hours_of(2000, 2002, 2002, 2060), sides(1, 0, 1, 0, share=0.5)), ACCOUNT)
    assert (book.state.closed_trades, book.state.wins) == (2, 1)


def test_a_reduced_trade_is_one_trade_whose_win_counts_all_its_parts() -> None:
    """Half is sold 5 % up, the rest 1 % down: together a win, though its last exit lost."""
    wanted = {
        NOON: Order(1, 0.8, True),
        NOON + HOUR: Order(1, 0.3, False),
        NOON + 2 * HOUR: Order(0, 0.0, True),
    }
    book = run(Market(hours_of(2000, 2100, 1990), wanted), ACCOUNT)
    kinds = [event.kind for event in book.events if event.kind != "mark"]
    assert kinds == ["deposit", "open", "fee", "fee", "reduce", "fee", "close"]
    assert (book.state.closed_trades, book.state.wins) == (1, 1)
    reduced, closed = (next(e for e in book.events if e.kind == kind) for kind in ("reduce", "close"))
    assert reduced.cash_change_usdt > 0 > closed.cash_change_usdt
    assert book.state.cash_usdt == pytest.approx(10_000 + sum(e.cash_change_usdt for e in book.events[1:]))
