"""Figures of the account: by hand, and the parts add up to the whole."""

import math
import statistics
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings

from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.ledger import EMPTY
from eth_pipeline.trading.performance import (
    MIN_DAYS,
    daily_returns,
    drawdown,
    equity_curve,
    performance,
    report,
    sharpe_ratio,
    sortino_ratio,
)
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.trading_samples import FREE, WIDE, Market, accounts, hours_of, markets, run, sides

ACCOUNT = AccountSettings(**FREE, **WIDE)


def test_performance_has_no_rates_without_a_basis() -> None:
    figures = performance(EMPTY)
    assert (figures["win_rate_share"], figures["exposure_share"], figures["return_share"]) == (None, None, None)
    nothing = report(())
    assert nothing.curve.is_empty()
    assert (nothing.figures["sharpe_ratio"], nothing.figures["mean_exposure_share"]) == (None, None)


def test_rates_are_shares_of_trades_and_hours() -> None:
    book = run(Market(hours_of(2000, 2002, 2002, 2060), sides(1, 0, 1, 0, share=0.5)), ACCOUNT)
    figures = performance(book.state)
    assert (figures["win_rate_share"], figures["exposure_share"]) == (0.5, 0.5)
    curve = equity_curve(book.events)
    assert curve.height == 4
    assert curve["equity_usdt"][-1] == book.state.equity_usdt
    assert curve["exposure_share"].to_list() == pytest.approx([0.5, 0, 0.5, 0], abs=0.001)


def test_ratios_by_hand() -> None:
    """Thirty days, 1 % up and 0.5 % down in turn: mean 0.25 %, deviation 0.75 % x sqrt(30 / 29)."""
    returns = [0.01, -0.005] * 15
    assert sharpe_ratio(returns) == pytest.approx(0.0025 / (0.0075 * math.sqrt(30 / 29)) * math.sqrt(365))
    assert sharpe_ratio(returns) == pytest.approx(statistics.mean(returns) / statistics.stdev(returns) * 365**0.5)
    assert sortino_ratio(returns) == pytest.approx(0.0025 / (0.005 / math.sqrt(2)) * math.sqrt(365))


def test_ratios_without_a_basis_are_null() -> None:
    assert sharpe_ratio([0.01, -0.01] * (MIN_DAYS // 2 - 1)) is None
    assert sharpe_ratio([0.0] * MIN_DAYS) is None
    assert sortino_ratio([0.01] * MIN_DAYS) is None
    assert sortino_ratio([-0.01] * (MIN_DAYS - 1)) is None


def test_a_daily_return_goes_from_midnight_to_midnight_and_a_deposit_is_none() -> None:
    times = [datetime(2025, 3, 1, tzinfo=UTC) + n * 6 * HOUR for n in range(1, 13)]
    equity = [100.0] * 4 + [100.0, 90.0, 120.0, 110.0] + [110.0, 140.0, 160.0, 160.5]
    curve = pl.DataFrame({"time": times, "equity_usdt": equity, "deposits_usdt": [100.0] * 9 + [150.0] * 3})
    days = daily_returns(curve)
    assert days["time"].to_list() == [datetime(2025, 3, 2, tzinfo=UTC), datetime(2025, 3, 3, tzinfo=UTC)]
    assert days["return_share"].to_list() == pytest.approx([0.10, 0.5 / 110])


def test_drawdown_is_the_share_below_the_peak_so_far() -> None:
    fall = pl.DataFrame({"e": [100.0, 120.0, 90.0, 130.0]}).select(drawdown(pl.col("e"))).to_series()
    assert fall.to_list() == pytest.approx([0.0, 0.0, -0.25, 0.0])


@settings(max_examples=25, deadline=None)
@given(markets(longest=30), accounts(limited=False))
def test_months_and_trades_add_up_to_the_account(market: Market, account: AccountSettings) -> None:
    """Hours two days apart, so that they span months."""
    spread = {hour + (hour - NOON) * 47: known for hour, known in market.prices.items()}
    wanted = {hour + (hour - NOON) * 47: order for hour, order in market.wanted.items()}
    book = run(Market(spread, wanted), account)
    summed = report(book.events)
    if summed.curve.is_empty():
        return
    state, months = book.state, summed.months
    assert months["net_pnl_usdt"].sum() == pytest.approx(state.net_pnl_usdt, abs=1e-6)
    for name in ("fees_usdt", "slippage_usdt", "funding_usdt", "turnover_usdt"):
        assert months[name].sum() == pytest.approx(getattr(state, name), abs=1e-6)
    assert months["closed_trades"].sum() == len(summed.trades) == state.closed_trades
    assert months["wins"].sum() == sum(trade.net_pnl_usdt > 0 for trade in summed.trades)
    if not state.position_eth:
        assert sum(trade.net_pnl_usdt for trade in summed.trades) == pytest.approx(state.net_pnl_usdt, abs=1e-6)
    growth = math.prod(1 + share for share in months["return_share"])
    if (summed.curve["equity_usdt"] > 1).all():
        assert growth == pytest.approx(state.equity_usdt / 10_000)


def test_the_hour_that_ends_a_month_belongs_to_it() -> None:
    first = datetime(2025, 3, 31, 22, tzinfo=UTC)
    hours = hours_of(2000, 2100, 2100, first=first)
    book = run(Market(hours, sides(1, 1, 1, first=first)), ACCOUNT)
    months = report(book.events).months
    assert months["month"].to_list() == [datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)]
    march, april = months["net_pnl_usdt"].to_list()
    opening_costs = book.events[1].slippage_usdt + book.state.fees_usdt
    assert march == pytest.approx(book.events[1].quantity_eth * 100 - opening_costs)
    assert april == 0


def test_a_trade_has_its_own_costs() -> None:
    hours = hours_of(2000, 2100, 2050)
    book = run(Market(hours, sides(1, 1, 0)), ACCOUNT)
    (trade,) = report(book.events).trades
    coins = trade.quantity_eth
    assert (trade.opened_at, trade.closed_at, trade.exit_kind) == (NOON, NOON + timedelta(hours=2), "close")
    assert trade.fees_usdt == pytest.approx(coins * (2000.4 + 2049.59) * 0.0005)
    assert trade.slippage_usdt == pytest.approx(coins * (0.4 + 0.41))
    assert trade.net_pnl_usdt == pytest.approx(coins * (2049.59 - 2000.4) - trade.fees_usdt)
