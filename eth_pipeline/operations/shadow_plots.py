"""Plots of a shadow report, as PNG bytes.

Belongs here: drawing. Does not belong: computing what is drawn (`shadow_report`). matplotlib is imported when a plot
is drawn. Colours are told apart by colour-blind people (Okabe and Ito 2008), and every one has a label.
"""

import io
from collections.abc import Callable
from typing import Any

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.operations.shadow_report import ShadowReport
from eth_pipeline.operations.shadow_window import Window

_STATES = {"tradeable": "#009E73", "degraded": "#E69F00", "blocked": "#D55E00", "no record": "#BBBBBB"}
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "date.converter": "concise",
}


def draw(report: ShadowReport, window: Window) -> dict[str, bytes]:
    """One PNG per plot by name: `states`, `calibration`, `forecasts`; the last two only where there are forecasts."""
    plots: dict[str, tuple[Callable[[Any, ShadowReport, Window], None], float]] = {"states": (_states, 2.4)}
    if any(judged.bins for judged in report.judged):
        plots["calibration"] = (_calibration, 3.6)
    if window.forecasts.height:
        plots["forecasts"] = (_forecasts, 3.0)
    return {name: _png(plot, report, window, height=height) for name, (plot, height) in plots.items()}


def _png(
    plot: Callable[[Any, ShadowReport, Window], None], report: ShadowReport, window: Window, *, height: float
) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, height), dpi=120, layout="constrained")
        plot(figure, report, window)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _states(figure: Any, report: ShadowReport, window: Window) -> None:
    """A mark per hour: its state, and whether a model answered."""
    states, model = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    by_hour = {record.decision_time: record for record in window.records}
    hours = [window.first + n * HOUR for n in range(report.hours)]
    rows = list(_STATES)
    named = [str(by_hour[hour].state) if hour in by_hour else "no record" for hour in hours]
    states.scatter(hours, [rows.index(name) for name in named], c=[_STATES[name] for name in named], marker="s", s=12)
    states.set_yticks(range(len(rows)), rows)
    states.set_title(f"State of every hour; a model answered in {report.ml_coverage:.1%}", loc="left")
    answered = [float(hour in by_hour and by_hour[hour].ml.ml_available) for hour in hours]
    model.fill_between(hours, answered, step="mid", color=_LINES[0])
    model.set_yticks([0, 1], ["", "model"])


def _calibration(figure: Any, report: ShadowReport, _: Window) -> None:
    """What was said against how often it came, per horizon."""
    horizons = sorted({judged.horizon_hours for judged in report.judged})
    for axis, horizon in zip(figure.subplots(1, len(horizons), squeeze=False)[0], horizons, strict=True):
        low, high = 0.3, 0.7
        rows = [judged for judged in report.judged if judged.horizon_hours == horizon and judged.bins]
        for judged in rows:
            said, came = ([getattr(part, name) for part in judged.bins] for name in ("mean_probability", "up_share"))
            low, high = min(low, *said, *came), max(high, *said, *came)
            axis.plot(said, came, marker="o", **_line(report, judged.role, judged.algorithm))
        axis.plot([low, high], [low, high], color="#777777", linestyle="--", linewidth=0.8)
        axis.set_title(f"{horizon} h", loc="left")
        axis.set_xlabel("forecast p(up)")
        axis.set_ylabel("share that went up")
        if rows:
            axis.legend(frameon=False)


def _forecasts(figure: Any, report: ShadowReport, window: Window) -> None:
    """Probability of up over the window, shortest horizon, per algorithm."""
    axis = figure.subplots()
    horizon = min(window.forecasts["horizon_hours"].to_list())
    rows = window.forecasts.filter(pl.col("horizon_hours") == horizon).sort("decision_time")
    for part in rows.partition_by("role", "algorithm", maintain_order=True):
        times, said = part["decision_time"].to_list(), part["probability_up"].to_list()
        axis.plot(times, said, **_line(report, part["role"][0], part["algorithm"][0]))
    axis.axhline(0.5, color="#777777", linestyle="--", linewidth=0.8)
    axis.set_title(f"Forecast p(up) over {horizon} h", loc="left")
    axis.legend(frameon=False)


def _line(report: ShadowReport, role: str, algorithm: str) -> dict[str, str]:
    """Colour and label of an algorithm, the same in every plot."""
    names = sorted({(judged.role, judged.algorithm) for judged in report.judged})
    colour = _LINES[names.index((role, algorithm)) % len(_LINES)]
    return {"color": colour, "label": algorithm + (" (shadow)" if role == "shadow" else "")}
