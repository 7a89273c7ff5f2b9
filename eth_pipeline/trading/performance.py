"""What the paper account earned: the figures of performance.json, the equity curve, months.

Belongs here: summaries of a ledger. Does not belong: single trades (`trades`), plots, pages (`tear_sheet`), files.

Sharpe ratio: mean over standard deviation (n - 1) of daily equity returns, times the square root of 365; the risk-free
rate is 0 and crypto trades every day (Sharpe 1994, "The Sharpe Ratio"). Sortino ratio: the same mean over the root
mean square of the negative returns, positive ones counted as 0 (Sortino and van der Meer 1991). A daily return goes
from the last processed hour of one UTC day to that of the next; both are null below `MIN_DAYS` returns.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.trading.ledger import EMPTY, AccountState, Event, apply
from eth_pipeline.trading.trades import Trade, closed_trades

MIN_DAYS = 30
"""Daily returns below which a ratio is noise; the standard error of a yearly Sharpe ratio over n days is near
sqrt(365 / n), so 3.5 at 30 days and 1 after a year."""
DAYS_PER_YEAR = 365

Figures = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Report:
    """A ledger summed up.

    Attributes:
        figures: the JSON of performance.json, with ratios.
        curve: see `equity_curve`.
        days: `time`, `return_share` of each UTC day.
        months: see `monthly`.
        trades: closed ones, oldest first.
        refused: orders that a limit refused, oldest first.
    """

    figures: Figures
    curve: pl.DataFrame
    days: pl.DataFrame
    months: pl.DataFrame
    trades: tuple[Trade, ...]
    refused: tuple[Event, ...]


def performance(state: AccountState) -> Figures:
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
        "slippage_usdt": state.slippage_usdt,
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


def report(events: Sequence[Event]) -> Report:
    """Everything about a complete ledger, in one pass and some column arithmetic."""
    states = list(_states(events))
    curve = _curve(events, states)
    days = daily_returns(curve)
    returns = days["return_share"].to_list()
    figures = performance(states[-1] if states else EMPTY)
    refused = tuple(event for event in events if event.kind == "refused")
    figures |= {
        "refused_orders": len(refused),
        "days": len(returns),
        "sharpe_ratio": sharpe_ratio(returns),
        "sortino_ratio": sortino_ratio(returns),
        "mean_exposure_share": _mean(curve["exposure_share"]),
    }
    trades = closed_trades(events)
    months = monthly(curve, trades)
    return Report(figures=figures, curve=curve, days=days, months=months, trades=trades, refused=refused)


def equity_curve(events: Iterable[Event]) -> pl.DataFrame:
    """The account at the end of every processed hour, oldest first.

    Returns:
        time, equity_usdt, position_eth, exposure_share (unsigned notional over equity), and the running sums
        fees_usdt, funding_usdt, slippage_usdt, turnover_usdt, deposits_usdt.
    """
    ledger = tuple(events)
    return _curve(ledger, list(_states(ledger)))


def drawdown(equity: pl.Expr) -> pl.Expr:
    """Share by which equity is below its highest value so far, at most 0."""
    return equity / equity.cum_max() - 1


def daily_returns(curve: pl.DataFrame) -> pl.DataFrame:
    """`time` (the UTC day) and `return_share` of each day that has a day before it; deposits are no return."""
    return (
        curve.group_by_dynamic("time", every="1d", closed="right", label="left")
        .agg(pl.col("equity_usdt", "deposits_usdt").last())
        .with_columns(gain=pl.col("equity_usdt").diff() - pl.col("deposits_usdt").diff())
        .select("time", return_share=pl.col("gain") / pl.col("equity_usdt").shift(1))
        .drop_nulls()
    )


def sharpe_ratio(returns: Sequence[float]) -> float | None:
    """Yearly Sharpe ratio of daily returns; None below `MIN_DAYS` of them or where they never vary."""
    if len(returns) < MIN_DAYS:
        return None
    mean = math.fsum(returns) / len(returns)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1))
    return mean / deviation * math.sqrt(DAYS_PER_YEAR) if deviation > 0 else None


def sortino_ratio(returns: Sequence[float]) -> float | None:
    """Yearly Sortino ratio of daily returns; None below `MIN_DAYS` of them or where none is negative."""
    if len(returns) < MIN_DAYS:
        return None
    downside = math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns))
    return math.fsum(returns) / len(returns) / downside * math.sqrt(DAYS_PER_YEAR) if downside > 0 else None


def monthly(curve: pl.DataFrame, trades: Iterable[Trade]) -> pl.DataFrame:
    """One row per UTC month of the curve.

    Returns:
        month, return_share, net_pnl_usdt, fees_usdt, funding_usdt, slippage_usdt, turnover_usdt,
        max_drawdown_share (from the highest equity of the month itself), exposure_share (hours with a position),
        closed_trades and wins (by the month of the exit).
    """
    month = pl.col("time").dt.offset_by("-1us").dt.truncate("1mo").alias("month")
    sums = [name for name in _SUMS if name != "deposits_usdt"]
    begin = pl.col("equity_usdt").shift(1).fill_null(pl.col("deposits_usdt").first())
    steps = curve.with_columns(
        month,
        gain=pl.col("equity_usdt") - begin - pl.col("deposits_usdt").diff().fill_null(0.0),
        begin=begin,
        **{name: pl.col(name).diff().fill_null(pl.col(name).first()) for name in sums},
    )
    rows = steps.group_by("month", maintain_order=True).agg(
        (pl.col("gain").sum() / pl.col("begin").first()).alias("return_share"),
        pl.col("gain").sum().alias("net_pnl_usdt"),
        *[pl.col(name).sum() for name in sums],
        (-drawdown(pl.col("equity_usdt")).min()).alias("max_drawdown_share"),
        (pl.col("position_eth") != 0).mean().alias("exposure_share"),
    )
    ended = pl.DataFrame(
        [(trade.closed_at, trade.net_pnl_usdt > 0) for trade in trades],
        schema={"time": INSTANT, "won": pl.Boolean},
        orient="row",
    )
    counts = ended.with_columns(month).group_by("month").agg(closed_trades=pl.len(), wins=pl.col("won").sum())
    return rows.join(counts, on="month", how="left", maintain_order="left").with_columns(
        pl.col("closed_trades", "wins").fill_null(0).cast(pl.Int64)
    )


_SUMS = ("fees_usdt", "funding_usdt", "slippage_usdt", "turnover_usdt", "deposits_usdt")


def _states(events: Iterable[Event]) -> Iterable[AccountState]:
    state = EMPTY
    for event in events:
        state = apply(state, event)
        yield state


def _curve(events: Sequence[Event], states: Sequence[AccountState]) -> pl.DataFrame:
    marks = [(event, state) for event, state in zip(events, states, strict=True) if event.kind == "mark"]
    columns: dict[str, list[object]] = {
        "time": [event.event_time for event, _ in marks],
        "equity_usdt": [state.equity_usdt for _, state in marks],
        "position_eth": [state.position_eth for _, state in marks],
        "exposure_share": [
            abs(state.position_eth) * (event.price_usdt or 0.0) / state.equity_usdt if state.equity_usdt > 0 else 0.0
            for event, state in marks
        ],
        **{name: [getattr(state, name) for _, state in marks] for name in _SUMS},
    }
    return pl.DataFrame(columns, schema={name: INSTANT if name == "time" else pl.Float64 for name in columns})


def _mean(values: pl.Series) -> float | None:
    mean = values.mean()
    return mean if isinstance(mean, float) else None
