"""The append-only ledger of the paper account, and the account it adds up to.

Belongs here: what an event is, and the one function by which events become an account. Does not belong: which
events happen (`book`), prices and fees (`fills`).

Cash moves by deposits, fees, funding and realised profit only; an open position is worth
quantity * (price - entry). Equity is their sum, valued at the newest price an event carries. A `mark` event per
processed hour carries the hour's closing mark price, so the equity curve is in the ledger and an hour is never
processed twice. The fee of an exit is booked before the exit, so that a trade's profit is complete when it ends. A
`reduce` realises the profit of the part it takes away and leaves the entry price of the rest; the trade ends when
nothing is left. A `refused` order moves nothing: it is there for its note.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal, get_args

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.table import INSTANT, Column, Rule, TableContract
from eth_pipeline.errors import ContractViolation

EventKind = Literal[
    "deposit", "open", "reduce", "close", "fee", "funding", "stop", "take_profit", "liquidation", "refused", "mark"
]
EXITS = ("close", "stop", "take_profit", "liquidation")
"""Events that leave no position."""

ACCOUNT_EVENTS = TableContract(
    name="account_events",
    row_is="one event of the paper account of one symbol in one phase; never changed, never removed",
    key=("symbol", "phase", "sequence"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("phase", pl.String, "text", "`paper` or `live`: whose signals the account follows."),
        Column("sequence", pl.Int64, "count", "Order of events, from 0 without holes."),
        Column("event_time", INSTANT, "instant, UTC", "When it happened; inside a bar: the bar's last microsecond."),
        Column("available_at", INSTANT, "instant, UTC", "Close of the bar that told of it."),
        Column("kind", pl.String, "text", ", ".join(f"`{kind}`" for kind in get_args(EventKind)) + "."),
        Column("quantity_eth", pl.Float64, "ETH", "Change of the position; 0 where the kind moves none."),
        Column("price_usdt", pl.Float64, "USDT per coin", "Fill or mark price; null for a deposit.", nullable=True),
        Column("reference_usdt", pl.Float64, "USDT per coin", "Price before slippage; null without a fill.", True),
        Column("cash_change_usdt", pl.Float64, "USDT", "Change of cash."),
        Column("decision_time", INSTANT, "instant, UTC", "The hour whose signal caused it.", nullable=True),
        Column("note", pl.String, "text", "Fallbacks and causes, why an order was refused; mostly empty."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    rules=(
        Rule("known kind", pl.col("kind").is_in(get_args(EventKind)), "the fold knows no other"),
        Rule("priced", (pl.col("kind") == "deposit") | pl.col("price_usdt").is_not_null(), "equity needs a price"),
        Rule("known afterwards", pl.col("available_at") >= pl.col("event_time"), "no look-ahead"),
    ),
    newest_by="event_time",
)


@dataclass(frozen=True)
class Event:
    """One row of the ledger, without the columns that are the same on every row of an account."""

    sequence: int
    event_time: datetime
    available_at: datetime
    kind: EventKind
    quantity_eth: float
    price_usdt: float | None
    cash_change_usdt: float
    decision_time: datetime | None = None
    note: str = ""
    reference_usdt: float | None = None

    @property
    def slippage_usdt(self) -> float:
        """What the fill cost against its reference price; 0 without a fill."""
        if self.reference_usdt is None or self.price_usdt is None:
            return 0.0
        return self.quantity_eth * (self.price_usdt - self.reference_usdt)


@dataclass(frozen=True)
class AccountState:
    """The account after some event.

    Attributes:
        funding_usdt: received minus paid, so negative where funding cost.
        closed_trades: positions that are gone: closed, stopped, liquidated, profit taken; reducing ends no trade.
        wins: those whose profit after their own fees and funding is positive.
        net_pnl_usdt: equity minus deposits, open position included.
        max_drawdown_share: deepest fall of equity from its peak, at the resolution of the events.
        processed_until: end of the newest processed hour; None before the first.
        deposits_usdt: cash paid in.
        peak_equity_usdt: highest equity so far.
        trade_cash_usdt: fees, funding and profit of reductions of the open position so far.
        last_price_usdt: newest price of an event, which values the position.
        turnover_usdt: notional of all fills.
        events: how many events made this state; the next sequence number.
        hours: processed hours.
        open_hours: those that ended with a position.
        slippage_usdt: what fills cost against their reference prices; in the prices already, so never deducted again.
    """

    cash_usdt: float = 0.0
    position_eth: float = 0.0
    entry_price: float | None = None
    equity_usdt: float = 0.0
    fees_usdt: float = 0.0
    funding_usdt: float = 0.0
    closed_trades: int = 0
    wins: int = 0
    net_pnl_usdt: float = 0.0
    max_drawdown_share: float = 0.0
    processed_until: datetime | None = None
    deposits_usdt: float = 0.0
    peak_equity_usdt: float = 0.0
    trade_cash_usdt: float = 0.0
    last_price_usdt: float | None = None
    turnover_usdt: float = 0.0
    events: int = 0
    hours: int = 0
    open_hours: int = 0
    slippage_usdt: float = 0.0


EMPTY = AccountState()

_QUANTITY_DECIMALS = 9
"""Finer than any order step; without it 0.3 - 0.1 leaves 0.19999999999999998."""


def apply(state: AccountState, event: Event) -> AccountState:
    """The account after `event`; the only place where events become figures.

    Raises:
        ContractViolation: the event does not follow the state: a hole in the sequence, an opening while a position
            is held, an exit of another size than the position, a reduction that is none.
    """
    _require_fits(state, event)
    price = state.last_price_usdt if event.price_usdt is None else event.price_usdt
    cash = state.cash_usdt + event.cash_change_usdt
    position = round(state.position_eth + event.quantity_eth, _QUANTITY_DECIMALS)
    exits = event.kind in EXITS
    entry = event.price_usdt if event.kind == "open" else None if exits else state.entry_price
    equity = cash + (position * (price - entry) if position and price is not None and entry is not None else 0.0)
    deposits = state.deposits_usdt + (event.cash_change_usdt if event.kind == "deposit" else 0.0)
    peak = max(state.peak_equity_usdt, equity)
    trade_cash = event.cash_change_usdt + (state.trade_cash_usdt if state.position_eth else 0.0)
    marks = event.kind == "mark"
    return replace(
        state,
        cash_usdt=cash,
        position_eth=position,
        entry_price=entry,
        equity_usdt=equity,
        fees_usdt=state.fees_usdt - (event.cash_change_usdt if event.kind == "fee" else 0.0),
        funding_usdt=state.funding_usdt + (event.cash_change_usdt if event.kind == "funding" else 0.0),
        closed_trades=state.closed_trades + exits,
        wins=state.wins + (exits and trade_cash > 0),
        net_pnl_usdt=equity - deposits,
        max_drawdown_share=max(state.max_drawdown_share, 1 - equity / peak if peak > 0 else 0.0),
        processed_until=event.event_time if marks else state.processed_until,
        deposits_usdt=deposits,
        peak_equity_usdt=peak,
        trade_cash_usdt=trade_cash if position else 0.0,
        last_price_usdt=price,
        turnover_usdt=state.turnover_usdt + abs(event.quantity_eth) * (event.price_usdt or 0.0),
        events=state.events + 1,
        open_hours=state.open_hours + (marks and position != 0),
        hours=state.hours + marks,
        slippage_usdt=state.slippage_usdt + event.slippage_usdt,
    )


def replay(events: Iterable[Event]) -> AccountState:
    """The account that `events`, in order, add up to."""
    state = EMPTY
    for event in events:
        state = apply(state, event)
    return state


def events_from_frame(rows: pl.DataFrame) -> tuple[Event, ...]:
    """Events of the rows of one account, by sequence."""
    names = [name for name in Event.__dataclass_fields__ if name in rows.columns]
    return tuple(Event(**row) for row in rows.sort("sequence").select(names).iter_rows(named=True))


def frame_from_events(events: Iterable[Event], *, symbol: str, phase: str, provenance: str) -> pl.DataFrame:
    """Rows of `ACCOUNT_EVENTS`."""
    constant = {"symbol": symbol, "phase": phase, "provenance": provenance}
    return pl.DataFrame([{**asdict(event), **constant} for event in events], schema=ACCOUNT_EVENTS.schema)


def _require_fits(state: AccountState, event: Event) -> None:
    held = state.position_eth
    if event.sequence != state.events:
        problem = f"its sequence is {event.sequence}, expected {state.events}"
    elif event.kind == "open" and (held or not event.quantity_eth):
        problem = f"it opens {event.quantity_eth} ETH while {held} ETH are held"
    elif event.kind in EXITS and (not held or event.quantity_eth != -held):
        problem = f"it closes {-event.quantity_eth} ETH while {held} ETH are held"
    elif event.kind == "reduce" and not 0 < -event.quantity_eth * held < held**2:
        problem = f"it takes {-event.quantity_eth} ETH off {held} ETH"
    elif event.kind not in ("open", "reduce", *EXITS) and event.quantity_eth:
        problem = f"it moves {event.quantity_eth} ETH, which its kind never does"
    else:
        return
    raise ContractViolation(
        f"Account event {event.sequence} ({event.kind} at {iso(event.event_time)}) does not follow the ledger: "
        f"{problem}. The ledger was changed by hand or written by two programs; restore the table to an older version."
    )
