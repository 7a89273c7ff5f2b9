"""Plots of a paper account, as PNG bytes: for the tear sheet and for asset metadata.

Belongs here: drawing. Does not belong: computing what is drawn (`performance`), the page (`tear_sheet`). matplotlib is
imported when a plot is drawn.
"""

import io
from collections.abc import Callable
from typing import Any

import polars as pl

from eth_pipeline.trading.performance import DAYS_PER_YEAR, MIN_DAYS, Report, drawdown

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # colour-blind safe (Okabe and Ito 2008)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "date.converter": "concise",
}
_WIDTH_INCHES = 9.6
_DOTS_PER_INCH = 120


def draw(report: Report) -> dict[str, bytes]:
    """One PNG per plot by name: `equity`, `drawdown`, `months`, `rolling_sharpe`, `costs`.

    A report without a processed hour has no plots.
    """
    if report.curve.is_empty():
        return {}
    plots: dict[str, tuple[Callable[[Any, Report], None], float]] = {
        "equity": (_equity, 3.6),
        "drawdown": (_drawdown, 2.0),
        "months": (_months, 0.9 + 0.42 * report.months["month"].dt.year().n_unique()),
        "rolling_sharpe": (_rolling_sharpe, 2.2),
        "costs": (_costs, 2.4),
    }
    return {name: _png(plot, report, height=height) for name, (plot, height) in plots.items()}


def _png(plot: Callable[[Any, Report], None], report: Report, *, height: float) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DOTS_PER_INCH, layout="constrained")
        plot(figure, report)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _equity(figure: Any, report: Report) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve = report.curve
    upper.plot(curve["time"], curve["equity_usdt"], color=BLUE, linewidth=1.1)
    upper.plot(curve["time"], curve["deposits_usdt"], color=GREY, linewidth=0.8, linestyle="--", label="paid in")
    upper.set_ylabel("equity, USDT")
    upper.yaxis.set_major_formatter("{x:,.0f}")
    upper.legend(frameon=False, fontsize=8, loc="best")
    exposure = curve["exposure_share"] * curve["position_eth"].sign() * 100
    lower.fill_between(curve["time"], exposure.clip(0, None), color=GREEN, step="pre", linewidth=0)
    lower.fill_between(curve["time"], exposure.clip(None, 0), color=ORANGE, step="pre", linewidth=0)
    lower.set_ylabel("exposure, %")
    upper.margins(x=0.01)


def _drawdown(figure: Any, report: Report) -> None:
    axes = figure.subplots()
    fall = report.curve.select(drawdown(pl.col("equity_usdt")) * 100).to_series()
    axes.fill_between(report.curve["time"], fall, color=ORANGE, alpha=0.35, linewidth=0)
    axes.plot(report.curve["time"], fall, color=ORANGE, linewidth=0.8)
    axes.set_ylabel("below peak, %")
    axes.set_ylim(top=0)
    axes.margins(x=0.01)


def _months(figure: Any, report: Report) -> None:
    axes = figure.subplots()
    axes.grid(False)
    cells = {(m.year, m.month): r * 100 for m, r in report.months.select("month", "return_share").iter_rows()}
    years = sorted({year for year, _ in cells})
    grid = [[cells.get((year, month), float("nan")) for month in range(1, 13)] for year in years]
    reach = max(abs(value) for value in cells.values()) or 1.0
    axes.imshow(grid, cmap="PuOr_r", vmin=-reach, vmax=reach, aspect="auto")
    for row, values in enumerate(grid):
        for column, value in enumerate(values):
            if value == value:
                colour = "white" if abs(value) > 0.6 * reach else "black"
                axes.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(12), _MONTHS)
    axes.set_yticks(range(len(years)), years)
    axes.set_title("return by month, %", fontsize=9, loc="left")
    axes.tick_params(length=0)


def _rolling_sharpe(figure: Any, report: Report) -> None:
    axes = figure.subplots()
    value = pl.col("return_share")
    ratio = value.rolling_mean(MIN_DAYS) / value.rolling_std(MIN_DAYS) * DAYS_PER_YEAR**0.5
    rolled = report.days.select("time", ratio=ratio).filter(pl.col("ratio").is_finite())
    if rolled.is_empty():
        message = f"needs {MIN_DAYS} days that vary; there are {report.days.height} days"
        axes.text(0.5, 0.5, message, ha="center", va="center", transform=axes.transAxes, color=GREY)
        axes.set(xticks=[], yticks=[])
        return
    axes.plot(rolled["time"], rolled["ratio"], color=BLUE, linewidth=1.0)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel(f"Sharpe, {MIN_DAYS} days")
    axes.margins(x=0.01)


def _costs(figure: Any, report: Report) -> None:
    axes = figure.subplots()
    curve = report.curve
    for name, sign, colour in (("fees", 1, BLUE), ("slippage", 1, ORANGE), ("funding", -1, GREEN)):
        paid = curve[f"{name}_usdt"] * sign
        label = f"{name} {paid[-1]:,.2f}"
        axes.plot(curve["time"], paid, color=colour, linewidth=1.1, label=label)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylabel("paid so far, USDT")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=3)
    axes.margins(x=0.01)
