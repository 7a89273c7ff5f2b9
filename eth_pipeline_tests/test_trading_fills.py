"""Fills: costs are against us, and the mark price takes positions away at the right place."""

import pytest

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.fills import Exit, PriceBar, fee_usdt, fill_price, order_quantity, protective_exit

SETTINGS = AccountSettings()
TIGHT = AccountSettings(leverage=50.0, stop_loss_share=0.05)


def _exit(bar: PriceBar, *, quantity_eth: float = 1.0, settings: AccountSettings = SETTINGS) -> Exit | None:
    return protective_exit(entry_usdt=2000.0, quantity_eth=quantity_eth, mark=bar, settings=settings)


def test_slippage_is_against_both_sides() -> None:
    assert fill_price(2000.0, quantity_eth=0.5, slippage_bps=2.0) == pytest.approx(2000.4)
    assert fill_price(2000.0, quantity_eth=-0.5, slippage_bps=2.0) == pytest.approx(1999.6)


def test_the_fee_is_a_share_of_the_notional_on_both_sides() -> None:
    assert fee_usdt(-0.5, price_usdt=2000.0, taker_fee_bps=5.0) == fee_usdt(0.5, price_usdt=2000.0, taker_fee_bps=5.0)
    assert fee_usdt(0.5, price_usdt=2000.0, taker_fee_bps=5.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("equity", "share", "quantity"), [(10_000.0, 0.2, 0.999), (10_004.0, 0.2, 1.0), (1.0, 0.2, 0.0), (-5.0, 0.2, 0.0)]
)
def test_an_order_is_whole_steps_and_never_more_than_its_share(equity: float, share: float, quantity: float) -> None:
    price = 2000.4
    assert order_quantity(equity_usdt=equity, share=share, price_usdt=price) == quantity
    assert quantity * price <= max(equity, 0) * share + 1e-6


@pytest.mark.parametrize(("low", "met"), [(1960.1, False), (1960.0, True), (1900.0, True)])
def test_a_stop_is_met_by_a_touch_of_the_mark_price(low: float, met: bool) -> None:
    found = _exit(PriceBar(1990, 2005, low, 1995))
    assert found == (Exit("stop", 1960.0) if met else None)


def test_a_short_is_stopped_above_its_entry() -> None:
    assert _exit(PriceBar(2010, 2041, 2000, 2030), quantity_eth=-1.0) == Exit("stop", 2040.0)
    assert _exit(PriceBar(2010, 2039, 1000, 2030), quantity_eth=-1.0) is None


def test_an_hour_that_opens_beyond_the_stop_fills_at_its_open() -> None:
    """A stop is no price guarantee."""
    assert _exit(PriceBar(1900, 1910, 1890, 1900)) == Exit("stop", 1900)


def test_an_hour_that_opens_beyond_liquidation_loses_the_margin() -> None:
    assert _exit(PriceBar(1000, 1100, 990, 1050)) == Exit("liquidation", 1000.0)
    assert _exit(PriceBar(3000, 3100, 2990, 3050), quantity_eth=-1.0) == Exit("liquidation", 3000.0)


def test_the_nearer_of_stop_and_liquidation_is_met_first() -> None:
    """At leverage 50 the margin is 2 %, liquidated at 1.5 %: a stop at 5 % is never reached."""
    assert _exit(PriceBar(1990, 1995, 1969, 1980), settings=TIGHT) == Exit("liquidation", 1960.0)
    assert _exit(PriceBar(1990, 1995, 1971, 1980), settings=TIGHT) is None
    assert _exit(PriceBar(2010, 2031, 2005, 2010), quantity_eth=-1.0, settings=TIGHT) == Exit("liquidation", 2040.0)


def test_a_bar_that_met_both_is_stopped_not_taken() -> None:
    """The path within the hour is unknown; the account must not assume the better one."""
    taking = AccountSettings(take_profit_share=0.02)
    assert _exit(PriceBar(2000, 2041, 1959, 2000), settings=taking) == Exit("stop", 1960.0)
    assert _exit(PriceBar(2000, 2041, 1959, 2000), quantity_eth=-1.0, settings=taking) == Exit("stop", 2040.0)


@pytest.mark.parametrize(("high", "met"), [(2039.9, False), (2040.0, True), (2100.0, True)])
def test_a_profit_is_taken_at_its_trigger_by_a_touch(high: float, met: bool) -> None:
    taking = AccountSettings(take_profit_share=0.02)
    assert _exit(PriceBar(2000, high, 1990, 2000), settings=taking) == (Exit("take_profit", 2040.0) if met else None)
    assert _exit(PriceBar(2000, high, 1990, 2000)) is None


def test_an_hour_that_opens_beyond_the_take_profit_met_it_first_and_fills_no_better_than_the_trigger() -> None:
    taking = AccountSettings(take_profit_share=0.02)
    assert _exit(PriceBar(2050, 2060, 1900, 1950), settings=taking) == Exit("take_profit", 2040.0)
    assert _exit(PriceBar(1950, 2100, 1940, 2050), quantity_eth=-1.0, settings=taking) == Exit("take_profit", 1960.0)
