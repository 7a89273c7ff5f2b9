"""Open interest from REST (1 h snapshots) and from the archive's 5-minute metrics files.

Belongs here: the fields of both doors. Does not belong: labels of metrics files (`metrics`), asking, row rules.

Returned columns: period_end, open_interest, open_interest_value, available_at; full hours only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eth_pipeline.exchange.formats.answers import rows_of, undocumented
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.metrics import at_full_hours, metrics_rows
from eth_pipeline.exchange.formats.published_time import instants

_COLUMNS = ("period_end", "open_interest", "open_interest_value", "available_at")


def open_interest_from_csv(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """Hourly snapshots of one daily metrics file.

    Raises:
        ContractViolation: other columns, or labels that fit neither convention.
    """
    return metrics_rows(content, file).select(_COLUMNS)


def open_interest_from_api(payload: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Snapshots of one REST page; `timestamp` is the END of its period.

    Raises:
        ContractViolation: a documented field is missing or of another type.
    """
    payload = rows_of(payload, what="openInterestHist")
    try:
        epochs = pl.Series([row["timestamp"] for row in payload], dtype=pl.Int64)
        rows = pl.DataFrame(
            {
                "label": instants(epochs, "ms", where="openInterestHist"),
                "open_interest": _numbers(payload, "sumOpenInterest"),
                "open_interest_value": _numbers(payload, "sumOpenInterestValue"),
            }
        )
    except (KeyError, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise undocumented("openInterestHist", error) from error
    return at_full_hours(rows, convention="END").select(_COLUMNS)


def _numbers(payload: Sequence[Mapping[str, Any]], field: str) -> pl.Series:
    return pl.Series([row[field] for row in payload], dtype=pl.String).cast(pl.Float64)
