"""What a fill costs and when a position is taken away: arithmetic of one position, no state.

Belongs here: slippage, fees, stop and liquidation prices, sizes. Does not belong: events and cash (`ledger`), what to
trade (`book`) and when (`timeline`). Positions are linear USDT-M contracts; a quantity is in ETH, negative for short.
"""

import math
from dataclasses import dataclass
from typing import Literal

from eth_pipeline.settings import AccountSettings

QUANTITY_STEP_ETH = 0.001
"""Smallest order step of ETHUSDT on USDT-M futures."""

BPS = 1e-4


@dataclass(frozen=True)
class PriceBar:
    """Prices of one hour, USDT per coin."""

    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Exit:
    """A position taken away inside a bar: why, and at which price before slippage."""

    kind: Literal["stop", "liquidation", "take_profit"]
    price_usdt: float


def fill_price(reference_usdt: float, *, quantity_eth: float, slippage_bps: float) -> float:
    """Price of a market order: buys above the reference, sells below it."""
    return reference_usdt * (1 + math.copysign(slippage_bps * BPS, quantity_eth))


def fee_usdt(quantity_eth: float, *, price_usdt: float, taker_fee_bps: float) -> float:
    """Taker fee of one fill, positive."""
    return abs(quantity_eth) * price_usdt * taker_fee_bps * BPS


def unrealised_usdt(*, quantity_eth: float, entry_usdt: float, price_usdt: float) -> float:
    """Profit of a position at a price, before costs."""
    return quantity_eth * (price_usdt - entry_usdt)


def order_quantity(*, equity_usdt: float, share: float, price_usdt: float) -> float:
    """Unsigned quantity whose notional is at most `share` of equity, in whole steps; 0 where that buys none."""
    steps = math.floor(max(equity_usdt, 0.0) * share / price_usdt / QUANTITY_STEP_ETH + 1e-9)
    return round(steps * QUANTITY_STEP_ETH, 3)


def stop_price(*, entry_usdt: float, quantity_eth: float, settings: AccountSettings) -> float:
    """Mark price at which the stop triggers."""
    return entry_usdt * (1 - math.copysign(settings.stop_loss_share, quantity_eth))


def liquidation_price(*, entry_usdt: float, quantity_eth: float, settings: AccountSettings) -> float:
    """Mark price at which the isolated margin, notional / leverage, is down to the maintenance margin."""
    room = 1 / settings.leverage - settings.maintenance_margin_share
    return entry_usdt * (1 - math.copysign(room, quantity_eth))


def bankruptcy_price(*, entry_usdt: float, quantity_eth: float, settings: AccountSettings) -> float:
    """Price at which the isolated margin is gone: what a liquidation settles at."""
    return entry_usdt * (1 - math.copysign(1 / settings.leverage, quantity_eth))


def take_profit_price(*, entry_usdt: float, quantity_eth: float, settings: AccountSettings) -> float | None:
    """Mark price at which the profit is taken; None where none is."""
    if settings.take_profit_share is None:
        return None
    return entry_usdt * (1 + math.copysign(settings.take_profit_share, quantity_eth))


def protective_exit(
    *, entry_usdt: float, quantity_eth: float, mark: PriceBar, settings: AccountSettings
) -> Exit | None:
    """Does the mark price of one hour take the position away, and where?

    The path within the hour is unknown, so the adverse side counts first: a bar that met both stop and take-profit
    is stopped. The one exception is known from the bar: an hour that opens beyond the take-profit met it first, and
    fills at the trigger, not at the better open. Of the adverse triggers the one nearer to the entry is met first,
    unless the hour opens beyond the liquidation price: then the exchange was faster than the stop. An hour that opens
    beyond the stop fills at its open: a stop is no price guarantee. A touch counts.
    """
    side = math.copysign(1.0, quantity_eth)
    profit = take_profit_price(entry_usdt=entry_usdt, quantity_eth=quantity_eth, settings=settings)
    taken = None if profit is None else Exit("take_profit", profit)
    if profit is not None and (mark.open - profit) * side >= 0:
        return taken
    if adverse := _adverse_exit(entry_usdt=entry_usdt, quantity_eth=quantity_eth, mark=mark, settings=settings):
        return adverse
    best = mark.high if side > 0 else mark.low
    return taken if profit is not None and (best - profit) * side >= 0 else None


def _adverse_exit(*, entry_usdt: float, quantity_eth: float, mark: PriceBar, settings: AccountSettings) -> Exit | None:
    side = math.copysign(1.0, quantity_eth)
    worst = mark.low if side > 0 else mark.high
    stop = stop_price(entry_usdt=entry_usdt, quantity_eth=quantity_eth, settings=settings)
    liquidation = liquidation_price(entry_usdt=entry_usdt, quantity_eth=quantity_eth, settings=settings)
    liquidated_first = (liquidation - stop) * side >= 0 or (mark.open - liquidation) * side <= 0
    if liquidated_first and (worst - liquidation) * side <= 0:
        bankruptcy = bankruptcy_price(entry_usdt=entry_usdt, quantity_eth=quantity_eth, settings=settings)
        return Exit("liquidation", bankruptcy)
    if (worst - stop) * side <= 0:
        beyond = (mark.open - stop) * side <= 0
        return Exit("stop", mark.open if beyond else stop)
    return None
