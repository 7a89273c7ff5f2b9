"""A ledger being continued: what can happen to the account, written as events.

Belongs here: following an order, charging funding, stop, take-profit and liquidation, one at a time. Does not belong:
when each happens (`timeline`), the arithmetic (`fills`), sizes (`signals.sizing.size`), limits (`risk`), adding up
(`ledger`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from eth_pipeline.contracts.clock import HOUR, floor_interval, iso
from eth_pipeline.settings import AccountSettings
from eth_pipeline.signals.sizing.size import largest_share
from eth_pipeline.trading.fills import (
    QUANTITY_STEP_ETH,
    fee_usdt,
    fill_price,
    order_quantity,
    protective_exit,
    unrealised_usdt,
)
from eth_pipeline.trading.hours import HourPrices, Order
from eth_pipeline.trading.ledger import EMPTY, Event, EventKind, apply
from eth_pipeline.trading.memory import Memory
from eth_pipeline.trading.positions import Positions
from eth_pipeline.trading.risk import EquityPoint, RiskVerdict, judge_risk

_MINUTE = timedelta(minutes=1)
_LAST_INSTANT = timedelta(microseconds=1)


class Book:
    """Events of one account, the new ones at the end, and the state they add up to.

    Args:
        ledger: the stored events in order: all of them, or those that follow `memory`.
        settings: fees, slippage, leverage, stops, limits.
        memory: the account before `ledger`; without one it starts empty.

    Attributes:
        state: the account now.
        events: those of `ledger` and the new ones; with a memory, not the ones before it.
        begun: time of the account's first event; None before it.
    """

    def __init__(
        self, ledger: Iterable[Event] = (), *, settings: AccountSettings, memory: Memory | None = None
    ) -> None:
        self.state = memory.state if memory else EMPTY
        self.events: list[Event] = []
        self.begun = memory.begun if memory else None
        self._settings = settings
        self._last_event = memory.last_event if memory else None
        self._charged = set(memory.charged if memory else ())
        self._positions = Positions(memory.positions if memory else ())
        self._equity = list(memory.equity) if memory else []
        self._peak_usdt = memory.peak_equity_usdt if memory else 0.0
        for event in ledger:
            self._append(event)
        self._stored = len(self.events)

    @property
    def new_events(self) -> list[Event]:
        """Events that are not stored yet."""
        return self.events[self._stored :]

    def memory(self) -> Memory:
        """What a later book needs to go on from here.

        Raises:
            ValueError: there is no event yet.
        """
        if self._last_event is None or self.begun is None:
            raise ValueError("An account without events has nothing to remember; pay in first.")
        return Memory(
            state=self.state,
            last_event=self._last_event,
            begun=self.begun,
            charged=tuple(sorted(self._charged)),
            positions=self._positions.as_tuple(),
            equity=tuple(self._equity),
            peak_equity_usdt=self._peak_usdt,
            peak_since=self._settings.drawdown_since,
        ).pruned()

    def held_share(self, mark_price: float | None = None) -> float | None:
        """Signed share of equity that is held, valued at `mark_price` or the newest price; None where flat."""
        price = self.state.last_price_usdt if mark_price is None else mark_price
        if not self.state.position_eth or price is None:
            return None
        equity = self._equity_at(price)
        return self.state.position_eth * price / equity if equity > 0 else None

    def risk(self, *, now: datetime, kill_switch: str | None = None) -> RiskVerdict:
        """May the account open at `now`, on its equity as of the newest event?"""
        return judge_risk(
            now=now,
            equity_usdt=self.state.equity_usdt,
            peak_equity_usdt=self._peak_usdt,
            history=self._equity,
            kill_switch=kill_switch,
            settings=self._settings,
        )

    def deposit(self, cash_usdt: float, *, at: datetime) -> None:
        """Pay in."""
        self._add("deposit", at=at, known_at=at, cash=cash_usdt)

    def settle(self, settlement: datetime, *, rate: float, hour: datetime, known: HourPrices) -> None:
        """Charge one funding settlement on the position that was held at its instant; nothing where it was flat.

        A settlement is charged once, however often it is handed in. A position opened at the full hour of a settlement
        is not charged by it, one closed then is. A settlement that became known late is charged at the mark price of
        the hour in which it did.
        """
        held = self._positions.before(floor_interval(settlement, _MINUTE))
        if not held or settlement in self._charged:
            return
        late = f"known late, charged at the mark price of {iso(hour)}" if settlement < hour else ""
        price = known.marks.open
        note = "; ".join(filter(None, (late, known.note)))
        self._add("funding", at=settlement, known_at=known.known_at, price=price, cash=-held * price * rate, note=note)

    def follow(self, order: Order, *, hour: datetime, known: HourPrices) -> None:
        """Fill the order of `hour` at the hour's open: close or reduce what it does not want, then open what it does.

        Closing and reducing need no permission. Opening needs the order's, and that no risk limit is met; a limit
        leaves a `refused` event with its sentence.
        """
        held = self.state.position_eth
        if held * order.side > 0:
            self._reduce(order, hour=hour, known=known)
            return
        if held:
            self._exit("close", reference=known.fills.open, at=hour, known=known, decision_time=hour)
        if order.side and order.may_open:
            self._open(order, hour=hour, known=known)

    def protect(self, *, hour: datetime, known: HourPrices) -> None:
        """Take the position away where the hour's mark price met its stop, take-profit or liquidation price."""
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

    def _open(self, order: Order, *, hour: datetime, known: HourPrices) -> None:
        reference = known.fills.open
        price = fill_price(reference, quantity_eth=order.side, slippage_bps=self._settings.slippage_bps)
        share = min(order.share, largest_share(settings=self._settings))
        size = order_quantity(equity_usdt=self.state.cash_usdt, share=share, price_usdt=price)
        add = partial(self._add, at=hour, known_at=known.known_at, decision_time=hour)
        refusal = self.risk(now=hour).reason
        if not refusal and not size:
            refusal = f"{share:.4f} of {self.state.cash_usdt:,.2f} USDT buys no {QUANTITY_STEP_ETH} ETH at {price:,.2f}"
        if refusal:
            add("refused", price=reference, note="; ".join(filter(None, (refusal, known.note))))
            return
        quantity = order.side * size
        fee = fee_usdt(quantity, price_usdt=price, taker_fee_bps=self._settings.taker_fee_bps)
        add("open", price=price, quantity=quantity, reference=reference, note=known.note)
        add("fee", price=price, cash=-fee, note=known.note)

    def _reduce(self, order: Order, *, hour: datetime, known: HourPrices) -> None:
        held, reference = self.state.position_eth, known.fills.open
        share = min(order.share, largest_share(settings=self._settings))
        size = order_quantity(equity_usdt=self._equity_at(reference), share=share, price_usdt=reference)
        if size >= abs(held) * self._settings.reduce_below_share:
            return
        kind: EventKind = "reduce" if size else "close"
        kept = order.side * size
        self._exit(kind, reference=reference, at=hour, known=known, decision_time=hour, kept=kept)

    def _exit(
        self,
        kind: EventKind,
        *,
        reference: float,
        at: datetime,
        known: HourPrices,
        decision_time: datetime | None,
        kept: float = 0.0,
    ) -> None:
        entry, gone = self.state.entry_price, round(self.state.position_eth - kept, 9)
        assert entry is not None, "a held position has an entry price"
        add = partial(self._add, at=at, known_at=known.known_at, decision_time=decision_time, note=known.note)
        cash = partial(unrealised_usdt, quantity_eth=gone, entry_usdt=entry)
        if kind == "liquidation":
            add(kind, price=reference, quantity=-gone, cash=cash(price_usdt=reference))
            return
        price = fill_price(reference, quantity_eth=-gone, slippage_bps=self._settings.slippage_bps)
        fee = fee_usdt(gone, price_usdt=price, taker_fee_bps=self._settings.taker_fee_bps)
        add("fee", price=price, cash=-fee)
        add(kind, price=price, quantity=-gone, cash=cash(price_usdt=price), reference=reference)

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
        reference: float | None = None,
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
                reference_usdt=reference,
            )
        )

    def _append(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.events.append(event)
        self.begun = self.begun or event.event_time
        self._last_event = event
        since = self._settings.drawdown_since
        if since is None or event.event_time >= since:
            self._peak_usdt = max(self._peak_usdt, self.state.equity_usdt)
        if event.kind == "funding":
            self._charged.add(event.event_time)
        elif event.kind in ("deposit", "mark"):
            self._equity.append(EquityPoint(event.event_time, self.state.equity_usdt))
        elif event.quantity_eth:
            self._positions.add(event.event_time, self.state.position_eth)

    def _equity_at(self, price: float) -> float:
        held, entry = self.state.position_eth, self.state.entry_price
        value = 0.0 if entry is None else unrealised_usdt(quantity_eth=held, entry_usdt=entry, price_usdt=price)
        return self.state.cash_usdt + value
