"""What the paper account earned: the figures of performance.json, and the equity curve.

Belongs here: summaries of a ledger. Does not belong: plots, files.
"""

from collections.abc import Iterable

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.tables import INSTANT
from eth_pipeline.trading.ledger import EMPTY, AccountState, Event, apply


def performance(state: AccountState) -> dict[str, float | int | str | None]:
    """JSON types; rates that have no basis yet (no closed trade, no hour) are null, not 0."""
    return {
        "processed_until": iso(state.processed_until) if state.processed_until else None,
        "equity_usdt": state.equity_usdt,
        "cash_usdt": state.cash_usdt,
        "deposits_usdt": state.deposits_usdt,
        "net_pnl_usdt": state.net_pnl_usdt,
        "return_share": state.net_pnl_usdt / state.deposits_usdt if state.deposits_usdt else None,
        "fees_usdt": state.fees_usdt,
        "funding_usdt": state.funding_usdt,
        "closed_trades": state.closed_trades,
        "wins": state.wins,
        "win_rate_share": state.wins / state.closed_trades if state.closed_trades else None,
        "max_drawdown_share": state.max_drawdown_share,
        "exposure_share": state.open_hours / state.hours if state.hours else None,
        "turnover_usdt": state.turnover_usdt,
        "position_eth": state.position_eth,
        "entry_price_usdt": state.entry_price,
        "hours": state.hours,
    }


def equity_curve(events: Iterable[Event]) -> pl.DataFrame:
    """Equity at the end of every processed hour: `time`, `equity_usdt`, `position_eth`."""
    state, rows = EMPTY, []
    for event in events:
        state = apply(state, event)
        if event.kind == "mark":
            rows.append((event.event_time, state.equity_usdt, state.position_eth))
    schema = [("time", INSTANT), ("equity_usdt", pl.Float64()), ("position_eth", pl.Float64())]
    return pl.DataFrame(rows, schema=schema, orient="row")
