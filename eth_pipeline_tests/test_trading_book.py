"""A book: reducing, refusing, and what it tells about itself."""

from datetime import timedelta

import pytest
from hypothesis import given, settings

from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.sizing.size import largest_share
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.hours import Order
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.trading_samples import Market, accounts, hour_of, hours_of, markets, run

ACCOUNT = AccountSettings(slippage_bps=0.0, taker_fee_bps=0.0)


def kinds(book: Book) -> list[str]:
    return [event.kind for event in book.events if event.kind not in ("mark", "fee", "deposit")]


def steps(*orders: Order, account: AccountSettings = ACCOUNT, prices: tuple[float, ...] = ()) -> Book:
    wanted = {NOON + n * HOUR: order for n, order in enumerate(orders)}
    return run(Market(hours_of(*(prices or [2000.0] * len(orders))), wanted), account)


@pytest.mark.parametrize(
    ("wanted_share", "kept_eth", "kind"), [(0.11, 1.0, None), (0.09, 0.45, "reduce"), (0.0, 0.0, "close")]
)
def test_a_much_smaller_order_reduces_and_one_for_nothing_closes(
    wanted_share: float, kept_eth: float, kind: str | None
) -> None:
    """Held: 0.2 of 10,000 USDT at 2,000, one coin; reduced below half of it."""
    book = steps(Order(1, 0.2, True), Order(1, wanted_share, True))
    assert book.state.position_eth == kept_eth
    assert kinds(book) == ["open", *([kind] if kind else [])]


def test_reducing_needs_no_permission() -> None:
    assert kinds(steps(Order(-1, 0.2, True), Order(-1, 0.05, False))) == ["open", "reduce"]


def test_the_setting_decides_when_a_position_is_reduced() -> None:
    never = ACCOUNT.model_copy(update={"reduce_below_share": 0.0})
    always = ACCOUNT.model_copy(update={"reduce_below_share": 1.0})
    orders = (Order(1, 0.2, True), Order(1, 0.19, True), Order(1, 0.01, True))
    assert kinds(steps(*orders, account=never)) == ["open"]
    assert kinds(steps(*orders)) == ["open", "reduce"]
    assert kinds(steps(*orders, account=always)) == ["open", "reduce", "reduce"]


def test_what_is_left_keeps_its_entry_price_and_its_stop() -> None:
    book = steps(Order(1, 0.2, True), Order(1, 0.05, True), prices=(2000.0, 2030.0))
    assert book.state.entry_price == 2000.0
    hour = NOON + 2 * HOUR
    book.protect(hour=hour, known=hour_of(hour, 2000, 2000, 1960, 1990))
    assert kinds(book) == ["open", "reduce", "stop"]


@settings(max_examples=30, deadline=None)
@given(markets(), accounts())
def test_no_order_makes_a_position_larger_than_the_caps(market: Market, account: AccountSettings) -> None:
    book = run(market, account)
    cash = 0.0
    for event in book.events:
        if event.kind == "open":
            notional = abs(event.quantity_eth) * (event.price_usdt or 0.0)
            assert notional <= largest_share(settings=account) * cash + 1e-6
        cash += event.cash_change_usdt


@settings(max_examples=30, deadline=None)
@given(markets(), accounts())
def test_an_order_that_a_limit_refuses_opens_nothing_and_says_why(market: Market, account: AccountSettings) -> None:
    book = run(market, account)
    opened = {event.event_time for event in book.events if event.kind == "open"}
    for event in book.events:
        if event.kind == "refused":
            assert event.note
            assert event.event_time not in opened
            assert event.decision_time == event.event_time


def test_a_loss_limit_refuses_opening_but_not_closing() -> None:
    account = ACCOUNT.model_copy(update={"max_daily_loss_share": 0.001})
    book = steps(*[Order(1, 0.2, True)] * 2, Order(-1, 0.2, True), account=account, prices=(2000.0, 1990.0, 1985.0))
    assert kinds(book) == ["open", "close", "refused"]
    assert book.events[-2].note.startswith("the account lost 0.15% in 24 hours")
    assert not book.risk(now=NOON + 3 * HOUR).allow_open
    assert book.risk(now=NOON + 30 * HOUR).allow_open


def test_an_order_too_small_for_one_step_says_so() -> None:
    book = steps(Order(1, 0.0001, True))
    assert book.events[1].note == "0.0001 of 10,000.00 USDT buys no 0.001 ETH at 2,000.00"


def test_a_settlement_is_charged_once_however_often_it_is_handed_in() -> None:
    book = steps(Order(1, 0.2, True))
    hour = NOON + HOUR
    for _ in range(2):
        book.settle(hour + timedelta(seconds=1), rate=0.0001, hour=hour, known=hour_of(hour, 2000.0))
    assert book.state.funding_usdt == pytest.approx(-1.0 * 2000 * 0.0001)


def test_the_kill_switch_is_a_refusal_of_the_book() -> None:
    assert steps(Order(0, 0.0, True)).risk(now=NOON + HOUR, kill_switch="drill").reason == (
        "the kill switch is pulled: drill"
    )
