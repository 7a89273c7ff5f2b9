"""Open interest from REST (1 h snapshots) and from the archive's 5-minute metrics files.

Belongs here: the label convention of metrics files, publication delay. Does not belong: asking, row rules.

Returned columns: period_end, open_interest, open_interest_value, available_at. Only snapshots on the full hour
are kept: the pipeline decides on the hour, and 288 rows a day would carry no more to it.

Label convention. Until 2026-06-24 a daily file runs 00:05 .. 00:00: a label is the END of its five minutes.
From 2026-06-25 it runs 00:00 .. 23:55: a label is the START and the snapshot five minutes later; some 2021
files are so too. It is decided per file from its first and last label. A join on the raw label would look five
minutes ahead.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from eth_pipeline.contracts.tables import INSTANT
from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.archive import ArchiveFile
from eth_pipeline.exchange.csv_rows import read_rows

METRICS_PERIOD = timedelta(minutes=5)
# Assumption, stated once: Binance names no publication time; a snapshot is taken as known five minutes later.
PUBLICATION_DELAY = timedelta(minutes=5)

_FIELDS: dict[str, type[pl.DataType]] = {
    "create_time": pl.String,
    "symbol": pl.String,
    "open_interest": pl.Float64,
    "open_interest_value": pl.Float64,
    "count_toptrader_long_short_ratio": pl.String,
    "sum_toptrader_long_short_ratio": pl.String,
    "count_long_short_ratio": pl.String,
    "sum_taker_long_short_vol_ratio": pl.String,
}


def open_interest_from_csv(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """Hourly snapshots of one daily metrics file.

    Raises:
        ContractViolation: other columns, or labels that fit neither convention.
    """
    rows = read_rows(content, _FIELDS, file)
    try:
        label = rows["create_time"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise ContractViolation(f"{file.key}: create_time is no `YYYY-MM-DD HH:MM:SS` ({error}).") from error
    shift = timedelta(0) if not rows.height else _label_to_period_end(label, file)
    return _hourly(rows.with_columns((label + shift).alias("period_end")))


def open_interest_from_api(payload: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Snapshots of one REST page; `timestamp` is the END of its period.

    Raises:
        ContractViolation: a documented field is missing or of another type.
    """
    try:
        epochs = pl.Series([row["timestamp"] for row in payload], dtype=pl.Int64)
        rows = pl.DataFrame(
            {
                "period_end": pl.from_epoch(epochs, "ms").dt.replace_time_zone("UTC").cast(INSTANT),
                "open_interest": _numbers(payload, "sumOpenInterest"),
                "open_interest_value": _numbers(payload, "sumOpenInterestValue"),
            }
        )
    except (KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise ContractViolation(f"openInterestHist: not the documented fields ({error!r}).") from error
    return _hourly(rows)


def _label_to_period_end(label: pl.Series, file: ArchiveFile) -> timedelta:
    """What to add to the labels of this file: nothing (END) or one period (START)."""
    first, last = label.min(), label.max()
    starts_at_midnight, ends_at_midnight = first == file.start, last == file.end
    if ends_at_midnight and not starts_at_midnight:
        return timedelta(0)
    if starts_at_midnight and not ends_at_midnight:
        return METRICS_PERIOD
    raise ContractViolation(
        f"{file.key}: labels run {first!s} .. {last!s}, which fits neither 00:05 .. 00:00 (END) "
        "nor 00:00 .. 23:55 (START). "
        "The file was not used: a wrong guess would look five minutes ahead."
    )


def _hourly(rows: pl.DataFrame) -> pl.DataFrame:
    on_the_hour = (pl.col("period_end").dt.minute() == 0) & (pl.col("period_end").dt.second() == 0)
    return rows.filter(on_the_hour).select(
        pl.col("period_end").cast(INSTANT),
        "open_interest",
        "open_interest_value",
        (pl.col("period_end") + PUBLICATION_DELAY).cast(INSTANT).alias("available_at"),
    )


def _numbers(payload: Sequence[Mapping[str, Any]], field: str) -> pl.Series:
    return pl.Series([row[field] for row in payload], dtype=pl.String).cast(pl.Float64)
