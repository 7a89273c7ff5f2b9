"""How contracts look in the Dagster UI: column schemas, owners, small tables as metadata.

Belongs here: turning our definitions into Dagster metadata. Does not belong: computing figures.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.signal import Reason, StreamFreshness
from eth_pipeline.contracts.table import Column, TableContract
from eth_pipeline.models.figures.report import Estimate, EvaluationReport

OWNERS = ["team:operations"]

# Dagster picks the icon of a column by words in its type: "timestamp" is a clock.
_TYPE_NAMES = {"Datetime(time_unit='us', time_zone='UTC')": "timestamp UTC"}
_TELLING_NOTHING = frozenset({"text", "flag", "JSON", "instant, UTC"})  # the type says it already


def column_schema(table: TableContract) -> dict[str, Any]:
    """Definition metadata that shows the table's columns with units and null rules."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=_TYPE_NAMES.get(str(column.dtype), str(column.dtype)),
            description=_column_text(column),
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
        )
        for column in table.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": table.name}


def _column_text(column: Column) -> str:
    return column.description if column.unit in _TELLING_NOTHING else f"{column.description} Unit: {column.unit}."


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, notes: Iterable[str] = ()
) -> dg.MarkdownMetadataValue:
    """A Markdown table as metadata, with notes as a list below it.

    An asset's page shows up to 1,000 characters in place and more than that behind a click (Dagster 1.13). It gives
    a table some 500 pixels: sentences belong into `notes`, a column of them becomes one word wide. Without rows it
    is the word "none".
    """
    body = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *body] if body else ["none"]
    lines += ["", *(f"- {_cell(note)}" for note in notes)]
    return dg.MetadataValue.md("\n".join(lines).rstrip())


def freshness_table(freshness: Iterable[StreamFreshness]) -> dg.MarkdownMetadataValue:
    """Stream, symbol, lag and limit of each stream."""
    rows = [
        (f.stream, f.symbol, f.lag_hours, f.max_lag_hours, f.stale_policy, "fresh" if f.fresh else "**STALE**")
        for f in freshness
    ]
    return markdown_table(("stream", "symbol", "lag, hours", "limit, hours", "policy", "verdict"), rows)


def reasons_table(reasons: Iterable[Reason]) -> dg.MarkdownMetadataValue:
    """Code, subject and sentence of each reason."""
    return markdown_table(("reason", "subject", "detail"), [(r.code, r.subject, r.detail) for r in reasons])


def figures(values: Mapping[str, object]) -> dg.MarkdownMetadataValue:
    """Name and value, one line each."""
    return markdown_table(("figure", "value"), values.items())


def horizon_table(report: EvaluationReport) -> dg.MarkdownMetadataValue:
    """Out-of-sample figures, a column per horizon, beside the volatility-only and the constant baseline."""
    shown: dict[str, list[object]] = {
        "rows": [h.rows for h in report.horizons],
        "sign AUC": [interval(h.auc, digits=3) for h in report.horizons],
        "volatility only": [interval(h.auc_volatility, digits=3) for h in report.horizons],
        "constant": [0.5 for _ in report.horizons],
        "moves > 0.30 %": [interval(h.auc_large_moves, digits=3) for h in report.horizons],
        "one hour late": [interval(h.auc_one_hour_late, digits=3) for h in report.horizons],
        "decile spread, bps": [interval(h.decile_spread_bps, digits=1) for h in report.horizons],
        "net per trade, bps": [interval(h.net_bps_per_trade, digits=1) for h in report.horizons],
        "cost label, AUC": [interval(h.cost_label.auc, digits=3) for h in report.horizons],
        "net Sharpe, a year": [interval(h.pnl.sharpe, digits=2) for h in report.horizons],
        "deflated Sharpe": [h.pnl.deflated_sharpe for h in report.horizons],
        "overfitting probability": [h.pnl.overfitting_probability for h in report.horizons],
        "calibration error": [h.calibration_error for h in report.horizons],
    }
    header = ("figure [95 %]", *(f"{h.horizon_hours} h" for h in report.horizons))
    return markdown_table(header, [(name, *values) for name, values in shown.items()])


def interval(estimate: Estimate, *, digits: int) -> str:
    """`0.548 [0.539, 0.558]`, or a dash where it is unknown."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f},\N{NO-BREAK SPACE}{estimate.high:.{digits}f}]"


def image(title: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG inside Markdown, which the UI shows behind one click."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
