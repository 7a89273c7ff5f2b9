"""Plots as asset metadata: a PNG inside Markdown, which the Dagster UI shows behind one click ([Show Markdown]).

Belongs here: drawing. Does not belong: computing what is drawn. matplotlib is imported when a plot is drawn.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from eth_pipeline.defs.presentation import image
from eth_pipeline.models.figures.report import EvaluationReport, PermutationReport

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#777777"  # colour-blind safe (Okabe and Ito 2008)


def _figure(width: float = 6.4, height: float = 3.0) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return figure, figure.subplots()


def _as_markdown(figure: Any, title: str) -> dg.MarkdownMetadataValue:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return image(title, buffer.getvalue())


def yearly_plot(report: EvaluationReport) -> dg.MarkdownMetadataValue:
    """Out-of-sample sign AUC per calendar year and horizon; the line at 0.5 is a coin."""
    figure, axes = _figure()
    for shift, (horizon, colour) in enumerate(zip(report.horizons, (_BLUE, _ORANGE, _GREY), strict=False)):
        years = sorted(horizon.auc_by_year)
        places = [index + 0.25 * (shift - 1) for index in range(len(years))]
        heights = [horizon.auc_by_year[year] - 0.5 for year in years]
        axes.bar(places, heights, width=0.22, bottom=0.5, color=colour, label=f"{horizon.horizon_hours} h")
        axes.set_xticks(range(len(years)), years)
    axes.axhline(0.5, color="black", linewidth=0.8)
    axes.set_ylabel("sign AUC")
    axes.set_title("Out-of-sample sign AUC by calendar year")
    axes.legend(ncols=len(report.horizons), fontsize=8, frameon=False)
    return _as_markdown(figure, "AUC by year")


def calibration_plot(oof: pl.DataFrame, *, bins: int = 10) -> dg.MarkdownMetadataValue:
    """Observed share of up-moves against the forecast probability, equal-count bins, out of fold."""
    figure, axes = _figure(4.4, 3.8)
    for horizon, colour in zip(sorted(oof["horizon_hours"].unique()), (_BLUE, _ORANGE, _GREY), strict=False):
        rows = oof.filter((pl.col("horizon_hours") == horizon) & pl.col("up").is_finite())
        if rows.height < bins * 10:
            continue
        grouped = (
            rows.with_columns(bin=pl.col("probability").rank("ordinal") * bins // (rows.height + 1))
            .group_by("bin")
            .agg(pl.col("probability").mean(), pl.col("up").cast(pl.Float64).mean())
            .sort("bin")
        )
        axes.plot(grouped["probability"], grouped["up"], marker="o", markersize=3, color=colour, label=f"{horizon} h")
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("forecast probability of up")
    axes.set_ylabel("observed share of up")
    axes.set_title("Calibration, out of fold")
    axes.legend()
    return _as_markdown(figure, "calibration")


def importance_plot(report: EvaluationReport, *, top: int = 15) -> dg.MarkdownMetadataValue:
    """Share of gain of the strongest features."""
    figure, axes = _figure(6.4, 3.8)
    strongest = sorted(report.importance.items(), key=lambda item: item[1])[-top:]
    axes.barh([name for name, _ in strongest], [share for _, share in strongest], color=_BLUE)
    axes.set_xlabel("share of gain")
    axes.set_title("Features by gain")
    axes.tick_params(axis="y", labelsize=7)
    return _as_markdown(figure, "importance")


def decile_plot(report: EvaluationReport) -> dg.MarkdownMetadataValue:
    """Mean return of each tenth of the forecasts, lowest first, with intervals; the line is the round trip's cost."""
    figure, axes = _figure()
    for shift, (horizon, colour) in enumerate(zip(report.horizons, (_BLUE, _ORANGE, _GREY), strict=False)):
        places = [number + 0.22 * (shift - 1) for number in range(1, len(horizon.deciles) + 1)]
        means = [decile.mean_return_bps.value or 0.0 for decile in horizon.deciles]
        spans = [decile.mean_return_bps for decile in horizon.deciles]
        below = [mean - (span.low if span.low is not None else mean) for mean, span in zip(means, spans, strict=True)]
        above = [(span.high if span.high is not None else mean) - mean for mean, span in zip(means, spans, strict=True)]
        label = f"{horizon.horizon_hours} h"
        axes.errorbar(places, means, yerr=[below, above], fmt="o", markersize=3, color=colour, label=label)
    cost = report.horizons[0].cost_label.cost_bps
    for level in (cost, -cost):
        axes.axhline(level, color="black", linewidth=0.6, linestyle=":")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("tenth of the forecasts, lowest first")
    axes.set_ylabel("mean return, bps")
    axes.set_title("Return by decile of the forecast, out of fold; dotted: the cost of a round trip")
    axes.legend(ncols=len(report.horizons), fontsize=8, frameon=False)
    return _as_markdown(figure, "deciles")


def permutation_plot(report: PermutationReport) -> dg.MarkdownMetadataValue:
    """AUC lost when whole weeks of a family's features are exchanged; an interval that holds 0 shows nothing."""
    families = sorted((drop for drop in report.drops if drop.kind == "family"), key=lambda drop: drop.drop.value or 0.0)
    figure, axes = _figure(6.4, 0.8 + 0.26 * max(len(families), 4))
    for place, drop in enumerate(families):
        low, high, value = drop.drop.low, drop.drop.high, drop.drop.value or 0.0
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=_GREY, linewidth=1.5)
        axes.plot(value, place, "o", markersize=4, color=_BLUE if low is not None and low > 0 else _GREY)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(families)), [drop.name for drop in families], fontsize=7)
    axes.set_xlabel(f"AUC lost at {report.horizon_hours} h, newest {report.windows} windows")
    axes.set_title("Permutation importance by family")
    return _as_markdown(figure, "permutation importance")


def attention_plot(attention_by_lag: Mapping[int, Sequence[float]]) -> dg.MarkdownMetadataValue:
    """Mean attention of a temporal fusion transformer to the hours before the decision."""
    figure, axes = _figure()
    for (horizon, weights), colour in zip(sorted(attention_by_lag.items()), (_BLUE, _ORANGE, _GREY), strict=False):
        axes.plot(range(len(weights)), list(weights), color=colour, label=f"{horizon} h")
    axes.set_xlabel("hours before the decision")
    axes.set_ylabel("mean attention")
    axes.set_title("What the transformer attends to")
    axes.legend(fontsize=8, frameon=False)
    return _as_markdown(figure, "attention")


def weights_plot(weights: Mapping[str, float], *, top: int = 15) -> dg.MarkdownMetadataValue:
    """The largest weights of a variable selection."""
    figure, axes = _figure(6.4, 3.8)
    strongest = sorted(weights.items(), key=lambda item: item[1])[-top:]
    axes.barh([name for name, _ in strongest], [weight for _, weight in strongest], color=_BLUE)
    axes.set_xlabel("mean selection weight")
    axes.set_title("Variables that the transformer selects")
    axes.tick_params(axis="y", labelsize=7)
    return _as_markdown(figure, "variable selection")
