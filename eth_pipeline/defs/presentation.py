"""How contracts look in the Dagster UI: column schemas, owners, small tables as metadata.

Belongs here: turning our definitions into Dagster metadata. Does not belong: computing figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from eth_pipeline.contracts.signal import Reason, StreamFreshness
from eth_pipeline.contracts.tables import TableContract

OWNERS = ["team:operations"]


def column_schema(table: TableContract) -> dict[str, Any]:
    """Definition metadata that shows the table's columns with units and null rules."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.dtype),
            description=f"{column.description} Unit: {column.unit}.",
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
        )
        for column in table.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": table.name}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A Markdown table as metadata."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


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


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
