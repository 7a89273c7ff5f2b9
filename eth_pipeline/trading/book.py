"""A ledger being continued: what can happen to the account, written as events.

Belongs here: following an order, charging funding, stop and liquidation, one at a time. Does not belong: when
each happens (`account`), the arithmetic (`fills`), adding up (`ledger`).
"""

import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from eth_pipeline.contracts.clock import HOUR, floor_interval, iso
from eth_pipeline.settings import AccountSettings
from eth_pipeline.trading.fills import fee_usdt, fill_price, order_quantity, protective_exit
from eth_pipeline.trading.hours import HourPrices, Order
from eth_pipeline.trading.ledger import EMPTY, Event, EventKind, apply

_MINUTE = timedelta(minutes=1)
_LAST_INSTANT = timedelta(microseconds=1)


class Book:
    """Events of one account, the new ones at the end, and the state they add up to.

    Args:
        ledger: the stored events, complete and in order.
        settings: fees, slippage, leverage, stop.
    """

    def __init__(self, ledger: Sequence[Event], *, settings: AccountSettings) -> None:
        self.state = EMPTY
        self.events: list[Event] = []
        self._settings = settings
        self._stored = len(ledger)
        self._charged: set[datetime] = set()
        self._position_times: list[datetime] = []
        self._positions: list[float] = []
        for event in ledger:
            self._append(event)

    @property
    def new_events(self) -> list[Event]:
        """Events that are not stored yet."""
        return self.events[self._stored :]

    def deposit(self, cash_usdt: float, *, at: datetime) -> None:
        """Pay in."""
        self._add("deposit", at=at, known_at=at, cash=cash_usdt)

    def charged(self, settlement: datetime) -> bool:
        """True where this funding settlement is in the ledger."""
        return settlement in self._charged

    def settle(self, settlement: datetime, *, rate: float, hour: datetime, known: HourPrices) -> None:
        """Charge one funding settlement on the position that was held at its instant; nothing where it was flat.

        A position opened at the full hour of a settlement is not charged by it, one closed then is. A settlement
        that became known late is charged at the mark price of the hour in which it did.
        """
        held = self._position_before(floor_interval(settlement, _MINUTE))
        if not held:
            return
        late = f"known late, charged at the mark price of {iso(hour)}" if settlement < hour else ""
        price = known.marks.open
        note = "; ".join(filter(None, (late, known.note)))
        self._add("funding", at=settlement, known_at=known.known_at, price=price, cash=-held * price * rate, note=note)

    def follow(self, order: Order, *, hour: datetime, known: HourPrices) -> None:
        """Fill the order of `hour` at the hour's open: close what it does not want, then open what it does."""
        held = self.state.position_eth
        if held and held * order.side <= 0:
            self._exit("close", reference=known.fills.open, at=hour, known=known, decision_time=hour)
        if self.state.position_eth or not order.side or not order.may_open:
            return
        reference, slippage = known.fills.open, self._settings.slippage_bps
        price = fill_price(reference, quantity_eth=order.side, slippage_bps=slippage)
        share = min(order.share, self._settings.max_single_share)
        size = order_quantity(equity_usdt=self.state.cash_usdt, share=share, price_usdt=price)
        if not size:
            return
        quantity = order.side * size
        fee = fee_usdt(quantity, price_usdt=price, taker_fee_bps=self._settings.taker_fee_bps)
        add = partial(self._add, at=hour, known_at=known.known_at, price=price, decision_time=hour, note=known.note)
        add("open", quantity=quantity)
        add("fee", cash=-fee)

    def protect(self, *, hour: datetime, known: HourPrices) -> None:
        """Take the position away where the hour's mark price met its stop or its liquidation price."""
        held, entry = self.state.position_eth, self.state.entry_price
        if not held or entry is None:
            return
        met = protective_exit(entry_usdt=entry, quantity_eth=held, mark=known.marks, settings=self._settings)
        if met is not None:
            at = hour + HOUR - _LAST_INSTANT
            self._exit(met.kind, reference=met.price_usdt, at=at, known=known, decision_time=None)

    def mark(self, *, hour: datetime, known: HourPrices) -> None:
        """Value the account at the hour's closing mark price; the hour is processed."""
        self._add("mark", at=hour + HOUR, known_at=known.known_at, price=known.marks.close, note=known.note)

    def _exit(
        self,
        kind: EventKind,
        *,
        reference: float,
        at: datetime,
        known: HourPrices,
        decision_time: datetime | None,
    ) -> None:
        held, entry = self.state.position_eth, self.state.entry_price
        assert entry is not None, "a held position has an entry price"
        add = partial(self._add, at=at, known_at=known.known_at, decision_time=decision_time, note=known.note)
        price = reference
        if kind != "liquidation":
            price = fill_price(reference, quantity_eth=-held, slippage_bps=self._settings.slippage_bps)
            fee = fee_usdt(held, price_usdt=price, taker_fee_bps=self._settings.taker_fee_bps)
            add("fee", price=price, cash=-fee)
        add(kind, price=price, quantity=-held, cash=held * (price - entry))

    def _add(
        self,
        kind: EventKind,
        *,
        at: datetime,
        known_at: datetime,
        price: float | None = None,
        quantity: float = 0.0,
        cash: float = 0.0,
        decision_time: datetime | None = None,
        note: str = "",
    ) -> None:
        self._append(
            Event(
                sequence=self.state.events,
                event_time=at,
                available_at=known_at,
                kind=kind,
                quantity_eth=quantity,
                price_usdt=price,
                cash_change_usdt=cash,
                decision_time=decision_time,
                note=note,
            )
        )

    def _append(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.events.append(event)
        if event.kind == "funding":
            self._charged.add(event.event_time)
        if event.quantity_eth:
            self._position_times.append(event.event_time)
            self._positions.append(self.state.position_eth)

    def _position_before(self, instant: datetime) -> float:
        index = bisect.bisect_left(self._position_times, instant) - 1
        return self._positions[index] if index >= 0 else 0.0
