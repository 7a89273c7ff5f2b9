"""Funding settlements from REST JSON and archive CSV.

Belongs here: the fields of both, and the rounding of settlement instants. Does not belong: asking, row rules.

Published instants are a few milliseconds late (08:00:00.004): rounded to the second, so that both doors give
one key. Returned columns: funding_time, funding_rate, interval_hours (null from REST), available_at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eth_pipeline.exchange.formats.answers import rows_of, undocumented
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.csv_rows import read_rows
from eth_pipeline.exchange.formats.published_time import instants

_COLUMNS = ("funding_time", "funding_rate", "interval_hours", "available_at")
_FIELDS = {"calc_time": pl.Int64, "interval_hours": pl.Int64, "funding_rate": pl.Float64}


def funding_from_csv(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """Settlements of one monthly archive file.

    Raises:
        ContractViolation: other columns, or numbers that are no time.
    """
    return _settlements(read_rows(content, _FIELDS, file), where=file.key)


def funding_from_api(payload: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Settlements of one REST page; REST does not publish the interval.

    Raises:
        ContractViolation: a documented field is missing or of another type.
    """
    payload = rows_of(payload, what="fundingRate")
    try:
        rows = pl.DataFrame(
            {
                "calc_time": pl.Series([row["fundingTime"] for row in payload], dtype=pl.Int64),
                "interval_hours": pl.Series([None] * len(payload), dtype=pl.Int64),
                "funding_rate": pl.Series([row["fundingRate"] for row in payload], dtype=pl.String).cast(pl.Float64),
            }
        )
    except (KeyError, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise undocumented("fundingRate", error) from error
    return _settlements(rows, where="fundingRate")


def _settlements(rows: pl.DataFrame, *, where: str) -> pl.DataFrame:
    second = instants(rows["calc_time"], "ms", where=where).dt.round("1s")
    return rows.with_columns(second.alias("funding_time"), second.alias("available_at")).select(_COLUMNS)
