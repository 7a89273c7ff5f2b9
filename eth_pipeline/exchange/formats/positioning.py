"""Long/short and taker ratios from four REST endpoints and from the archive's metrics files, as one row an hour.

Belongs here: the fields of both doors, joining the four answers. Does not belong: labels of metrics files
(`metrics`), asking, row rules.

Both doors are cut to the five minutes that end on a full hour, so that a taker ratio is the same figure from
either: the archive has it over five minutes, and five-minute ratios cannot be added up to an hourly one. An answer
that lacks a row leaves its column null; the row stays.

Returned columns: period_end, top_account_ratio, top_position_ratio, account_ratio, taker_ratio, available_at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eth_pipeline.exchange.formats.answers import rows_of, undocumented
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.metrics import at_full_hours, metrics_rows
from eth_pipeline.exchange.formats.published_time import instants

_RATIOS = ("top_account_ratio", "top_position_ratio", "account_ratio", "taker_ratio")
_COLUMNS = ("period_end", *_RATIOS, "available_at")
Payload = Sequence[Mapping[str, Any]]


def positioning_from_csv(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """Ratios at full hours of one daily metrics file.

    Raises:
        ContractViolation: other columns, or labels that fit neither convention.
    """
    return metrics_rows(content, file).select(_COLUMNS)


def positioning_from_api(
    top_accounts: Payload, top_positions: Payload, accounts: Payload, taker: Payload
) -> pl.DataFrame:
    """One page: the answers of the four endpoints, `timestamp` END of the period but for `taker` (START).

    Raises:
        ContractViolation: a documented field is missing or of another type.
    """
    payloads = (top_accounts, top_positions, accounts, taker)
    fields = ("longShortRatio", "longShortRatio", "longShortRatio", "buySellRatio")
    conventions = ("END", "END", "END", "START")
    pages = [
        _ratio(payload, field, name=name, convention=convention)
        for payload, field, name, convention in zip(payloads, fields, _RATIOS, conventions, strict=True)
    ]
    joined = pages[0]
    for page in pages[1:]:
        # A row that all four repeat comes out twice, not sixteen times.
        unique = page.unique("period_end", keep="first", maintain_order=True)
        joined = joined.join(unique, on=["period_end", "available_at"], how="full", coalesce=True)
    return joined.select(_COLUMNS)


def _ratio(payload: Payload, field: str, *, name: str, convention: str) -> pl.DataFrame:
    what = f"{field} of /futures/data"
    payload = rows_of(payload, what=what)
    try:
        epochs = pl.Series([row["timestamp"] for row in payload], dtype=pl.Int64)
        rows = pl.DataFrame(
            {
                "label": instants(epochs, "ms", where=what),
                name: pl.Series([row[field] for row in payload], dtype=pl.String).cast(pl.Float64),
            }
        )
    except (KeyError, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise undocumented(what, error) from error
    return at_full_hours(rows, convention=convention).select("period_end", name, "available_at")
