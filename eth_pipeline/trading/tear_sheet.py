"""The tear sheet: one self-contained HTML page about a paper account.

Belongs here: the page. Does not belong: figures (`performance`), plots (`plots`), where the file goes. The page loads
nothing: images are inline, there is no script; it says on every copy which market the money is from.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.trading.ledger import Event
from eth_pipeline.trading.performance import DAYS_PER_YEAR, MIN_DAYS, Report, report
from eth_pipeline.trading.plots import draw
from eth_pipeline.trading.trades import Trade

_NAMES = {
    "equity": ("Equity and exposure", "Equity at the end of every hour on the mark price; exposure is signed."),
    "drawdown": ("Drawdown", "How far equity is below its highest value so far, by the hour."),
    "months": ("Months", "Return on the equity at the month's begin."),
    "rolling_sharpe": ("Rolling Sharpe ratio", f"Of the last {MIN_DAYS} daily returns, scaled to a year."),
    "costs": ("Costs", "Running sums; negative funding was received. Slippage is contained in the fill prices."),
}
_DEFINITIONS = (
    ("Net PnL", "Equity minus deposits, the open position at its mark price included."),
    ("Trade", "A position from its opening until nothing of it is left; reducing it ends no trade."),
    ("Win", "A trade whose profit after its own fees and funding is positive."),
    ("Maximum drawdown", "Deepest fall of equity from its peak, seen at every event of the ledger."),
    ("Exposure", "Share of hours that ended with a position; its mean is unsigned notional over equity."),
    ("Sharpe ratio", f"Mean over standard deviation of daily returns, times √{DAYS_PER_YEAR}; risk-free rate 0."),
    ("Sortino ratio", f"Mean over root mean square of negative daily returns, times √{DAYS_PER_YEAR}."),
    ("—", f"The figure has no basis yet; ratios need {MIN_DAYS} daily returns."),
)
_ORIGINS = {"binance": "Binance market data", "replay": "replayed recordings", "simulated": "a simulated market"}
_TRADES_SHOWN = 5
_REFUSALS_SHOWN = 5


@dataclass(frozen=True)
class TearSheet:
    """The page, and its plots singly as PNG by name."""

    html: str
    plots: Mapping[str, bytes]


def tear_sheet(events: Sequence[Event], *, symbol: str, phase: str, provenance: str) -> TearSheet:
    """Draw the page of a complete ledger.

    The same ledger gives the same page: it carries no time of making.
    """
    summed = report(events)
    plots = draw(summed)
    return TearSheet(html=_page(summed, plots, symbol=symbol, phase=phase, provenance=provenance), plots=plots)


def _page(summed: Report, plots: Mapping[str, bytes], *, symbol: str, phase: str, provenance: str) -> str:
    title = f"Paper account {symbol}, phase {phase}"
    origin = f"Paper money on {_ORIGINS.get(provenance, provenance)}."
    if summed.curve.is_empty():
        period, body = "No hour was processed yet.", ""
    else:
        hours = summed.curve.height
        period = f"{iso(summed.curve['time'][0])} to {iso(summed.curve['time'][-1])}, {hours:,} hours."
        sections = [_plot(name, plots[name]) for name in _NAMES]
        sections.insert(3, _section("By month", "", _month_table(summed.months)))
        sections += [_trades(summed.trades), _refused(summed.refused), _definitions()]
        body = _tiles(summed) + "".join(sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<header><h1>{escape(title)}</h1><p>{escape(period)} {escape(origin)}</p></header>"
        f"<main>{body}</main></body></html>\n"
    )


def _tiles(summed: Report) -> str:
    f = summed.figures
    tiles = (
        ("Net PnL", _usdt(f["net_pnl_usdt"], sign=True), _percent(f["return_share"], sign=True)),
        ("Maximum drawdown", _percent(f["max_drawdown_share"]), ""),
        ("Sharpe", _number(f["sharpe_ratio"]), f"Sortino {_number(f['sortino_ratio'])}"),
        ("Closed trades", f"{f['closed_trades']:,}", f"{_percent(f['win_rate_share'], digits=0)} won"),
        ("Fees", _usdt(f["fees_usdt"]), f"slippage {_usdt(f['slippage_usdt'])}"),
        ("Funding", _usdt(f["funding_usdt"], sign=True), "received" if _positive(f["funding_usdt"]) else "paid"),
        ("Exposure", _percent(f["exposure_share"], digits=0), f"mean {_percent(f['mean_exposure_share'], digits=1)}"),
        ("Turnover", _usdt(f["turnover_usdt"], digits=0), f"equity {_usdt(f['equity_usdt'])}"),
    )
    cells = (
        f"<div class=tile><b>{escape(name)}</b><strong>{escape(value)}</strong><span>{escape(more)}</span></div>"
        for name, value, more in tiles
    )
    return f"<div class=tiles>{''.join(cells)}</div>"


def _plot(name: str, png: bytes) -> str:
    title, caption = _NAMES[name]
    image = base64.b64encode(png).decode()
    return _section(title, caption, f'<img alt="{escape(title)}" src="data:image/png;base64,{image}">')


def _month_table(months: pl.DataFrame) -> str:
    head = ("Month", "Return", "Net PnL", "Fees", "Slippage", "Funding", "Drawdown", "Exposure", "Trades", "Won")
    rows = [
        (
            f"{row['month']:%Y-%m}",
            _percent(row["return_share"], sign=True),
            _usdt(row["net_pnl_usdt"], sign=True),
            _usdt(row["fees_usdt"]),
            _usdt(row["slippage_usdt"]),
            _usdt(row["funding_usdt"], sign=True),
            _percent(row["max_drawdown_share"]),
            _percent(row["exposure_share"], digits=0),
            f"{row['closed_trades']}",
            f"{row['wins']}",
        )
        for row in months.iter_rows(named=True)
    ]
    return _table(head, rows)


def _trades(trades: Sequence[Trade]) -> str:
    if not trades:
        return ""
    ranked = sorted(trades, key=lambda trade: trade.net_pnl_usdt)
    shown = ranked if len(ranked) <= 2 * _TRADES_SHOWN else [*ranked[:_TRADES_SHOWN], *ranked[-_TRADES_SHOWN:]]
    head = ("Opened", "Closed", "Quantity, ETH", "Entry", "Ended by", "Fees", "Funding", "Net PnL")
    rows = [
        (
            iso(trade.opened_at),
            iso(trade.closed_at),
            f"{trade.quantity_eth:+.3f}",
            _usdt(trade.entry_usdt),
            trade.exit_kind.replace("_", " "),
            _usdt(trade.fees_usdt),
            _usdt(trade.funding_usdt, sign=True),
            _usdt(trade.net_pnl_usdt, sign=True),
        )
        for trade in reversed(shown)
    ]
    caption = f"Best and worst {_TRADES_SHOWN} of {len(trades):,}." if len(shown) < len(trades) else "All, best first."
    return _section("Trades", caption, _table(head, rows))


def _refused(refused: Sequence[Event]) -> str:
    if not refused:
        return ""
    rows = [(iso(event.event_time), event.note) for event in reversed(refused[-_REFUSALS_SHOWN:])]
    caption = f"A risk limit or the smallest order step refused {len(refused):,} orders; the newest:"
    return _section("Refused orders", caption, _table(("Hour", "Why"), rows))


def _definitions() -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _DEFINITIONS)
    return _section("What the figures mean", "Amounts are USDT, times UTC.", f"<dl>{items}</dl>")


def _section(title: str, caption: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(caption)}</p>{content}</section>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td{' class=loss' if cell.startswith('−') else ''}>{escape(cell)}</td>" for cell in row)
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _usdt(value: object, *, sign: bool = False, digits: int = 2) -> str:
    return _formatted(value, scale=1, digits=digits, sign=sign)


def _percent(value: object, *, sign: bool = False, digits: int = 2) -> str:
    return _formatted(value, scale=100, digits=digits, sign=sign, unit=" %")


def _number(value: object) -> str:
    return _formatted(value, scale=1, digits=2, sign=False)


def _formatted(value: object, *, scale: float, digits: int, sign: bool, unit: str = "") -> str:
    """A figure with a true minus; — where there is none."""
    if not isinstance(value, int | float):
        return "—"
    shown = round(value * scale, digits) + 0.0
    return f"{shown:{'+' if sign and shown else ''},.{digits}f}".replace("-", "−") + unit


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f6f7f8;color:#1d2328;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1000px;margin:0 auto;padding:0 20px}
header{padding-top:28px}h1{margin:0;font-size:25px}h2{margin:0;font-size:16px}
header p,section>p{margin:2px 0 10px;color:#5a6570;font-size:13.5px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(205px,1fr));gap:10px;margin:14px 0}
.tile,section{background:#fff;border:1px solid #e3e6e9;border-radius:8px}
.tile{padding:10px 14px}.tile b{display:block;font-weight:500;font-size:12.5px;color:#5a6570}
.tile strong{display:block;font-size:21px;font-variant-numeric:tabular-nums}
.tile span{font-size:12.5px;color:#5a6570;min-height:1.5em;display:block}
section{padding:14px 16px;margin:0 0 12px}img{display:block;width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:4px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid #edeff1}
th{font-weight:600;color:#5a6570}th:first-child,td:first-child{text-align:left}td.loss{color:#a63d00}
tbody tr:last-child td{border-bottom:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 16px;margin:0;font-size:13.5px}
dt{font-weight:600}dd{margin:0}
@media(max-width:600px){dl{grid-template-columns:1fr}dd{margin-bottom:6px}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
"""
