"""What a fill costs and when a position is taken away: arithmetic of one position, no state.

Belongs here: slippage, fees, stop and liquidation prices, sizes. Does not belong: events and cash (`ledger`),
when to trade (`account`). Positions are linear USDT-M contracts; a quantity is in ETH, negative for short.
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

    kind: Literal["stop", "liquidation"]
    price_usdt: float


def fill_price(reference_usdt: float, *, quantity_eth: float, slippage_bps: float) -> float:
    """Price of a market order: buys above the reference, sells below it."""
    return reference_usdt * (1 + math.copysign(slippage_bps * BPS, quantity_eth))


def fee_usdt(quantity_eth: float, *, price_usdt: float, taker_fee_bps: float) -> float:
    """Taker fee of one fill, positive."""
    return abs(quantity_eth) * price_usdt * taker_fee_bps * BPS


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


def protective_exit(
    *, entry_usdt: float, quantity_eth: float, mark: PriceBar, settings: AccountSettings
) -> Exit | None:
    """Does the mark price of one hour take the position away, and where?

    Whichever trigger lies nearer to the entry is met first, unless the hour opens beyond the liquidation price:
    then the exchange was faster than the stop. An hour that opens beyond the stop fills at its open: a stop is
    no price guarantee. A touch counts.
    """
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
