"""Plots of a candidate as PNG, stored in its MLflow run.

Belongs here: drawing. Does not belong: computing what is drawn, showing it in Dagster (`defs.plots`). matplotlib is
imported when a plot is drawn.
"""

import io
from typing import Any

import polars as pl

from eth_pipeline.models.figures.report import EvaluationReport

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777")  # colour-blind safe (Okabe and Ito 2008)
_BINS = 10


def candidate_plots(report: EvaluationReport, oof: pl.DataFrame) -> dict[str, bytes]:
    """File name to PNG: AUC by year, and calibration where there are enough out-of-fold rows.

    Args:
        oof: rows of `OOF_FORECASTS` of this candidate; may be empty.
    """
    plots = {"auc_by_year.png": _yearly(report)}
    drawn = _calibration(oof)
    return plots | ({"calibration.png": drawn} if drawn is not None else {})


def _yearly(report: EvaluationReport) -> bytes:
    figure, axes = _figure(6.4, 3.0)
    for horizon, colour in zip(report.horizons, _COLOURS, strict=False):
        years = sorted(horizon.auc_by_year)
        heights = [horizon.auc_by_year[year] for year in years]
        axes.plot(years, heights, marker="o", color=colour, label=f"{horizon.horizon_hours} h")
    axes.axhline(0.5, color="black", linewidth=0.8)
    axes.set_title("Out-of-sample sign AUC by calendar year")
    axes.set_ylabel("sign AUC")
    axes.legend(ncols=len(report.horizons), fontsize=8, frameon=False)
    return _png(figure)


def _calibration(oof: pl.DataFrame) -> bytes | None:
    """Observed share of up-moves against the forecast, equal-count bins; None where no horizon has enough rows."""
    known = oof.filter(pl.col("up").is_not_null())
    counts = dict(known.group_by("horizon_hours").len().iter_rows())
    enough = sorted(horizon for horizon, rows in counts.items() if rows >= _BINS * 10)
    if not enough:
        return None
    figure, axes = _figure(4.4, 3.8)
    for horizon, colour in zip(enough, _COLOURS, strict=False):
        rows = known.filter(pl.col("horizon_hours") == horizon)
        bins = (
            rows.group_by(bin=pl.col("probability").rank("ordinal") * _BINS // (rows.height + 1))
            .agg(pl.col("probability").mean(), pl.col("up").cast(pl.Float64).mean())
            .sort("bin")
        )
        axes.plot(bins["probability"], bins["up"], marker="o", markersize=3, color=colour, label=f"{horizon} h")
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle="--")
    axes.set_title("Calibration, out of fold")
    axes.set_xlabel("forecast probability of up")
    axes.set_ylabel("observed share of up")
    axes.legend(frameon=False)
    return _png(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
