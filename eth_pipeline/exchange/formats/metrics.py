"""The archive's daily metrics files: their columns, and what instant a label means.

Belongs here: the label convention, publication delay, cutting to full hours. Does not belong: which columns a
table takes (`open_interest`, `positioning`).

Label convention. Until 2026-06-24 a daily file runs 00:05 .. 00:00: a label is the END of its five minutes.
From 2026-06-25 it runs 00:00 .. 23:55: a label is the START and the snapshot five minutes later; some 2021
files are so too. It is decided per file from its first and last label. A join on the raw label would look five
minutes ahead. A file that misses both ends decides nothing: then rows that came over REST are the witness, and
where REST does not reach, the files of the day before and the day after, if both say the same.
"""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from eth_pipeline.contracts.table import INSTANT
from eth_pipeline.errors import ContractViolation
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.formats.csv_rows import read_rows
from eth_pipeline.exchange.formats.published_time import labels

METRICS_PERIOD = timedelta(minutes=5)
# Assumption, stated once: Binance names no publication time; a snapshot is taken as known five minutes later.
PUBLICATION_DELAY = timedelta(minutes=5)
CONVENTIONS = {"END": timedelta(0), "START": METRICS_PERIOD}
"""What to add to a label to get the end of its five minutes."""

FIELDS: dict[str, type[pl.DataType]] = {
    "create_time": pl.String,
    "symbol": pl.String,
    "open_interest": pl.Float64,
    "open_interest_value": pl.Float64,
    "top_account_ratio": pl.Float64,
    "top_position_ratio": pl.Float64,
    "account_ratio": pl.Float64,
    "taker_ratio": pl.Float64,
}
_SAME_SHARE = 1e-6  # REST prints eight decimals, the archive as many


class UndecidedLabels(ContractViolation):
    """The labels of a file fit both conventions or neither; its rows are kept for a witness to decide."""

    def __init__(self, message: str, *, file: ArchiveFile, labelled: pl.DataFrame) -> None:
        super().__init__(message)
        self.file = file
        self.labelled = labelled

    def __reduce__(self) -> str | tuple[object, ...]:
        """Exceptions with keyword arguments do not pickle by themselves."""
        return (_undecided, (str(self), self.file, self.labelled))


def _undecided(message: str, file: ArchiveFile, labelled: pl.DataFrame) -> UndecidedLabels:
    return UndecidedLabels(message, file=file, labelled=labelled)


def metrics_rows(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """All columns of one daily file at full hours, with `period_end` and `available_at`.

    Raises:
        UndecidedLabels: both or neither convention fits.
        ContractViolation: other columns.
    """
    labelled = _labelled(content, file)
    return at_full_hours(labelled, convention="END" if not labelled.height else _convention(labelled, file))


def convention_of(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    """The convention of one file as a frame of one row, column `convention`.

    Raises:
        ContractViolation: as `metrics_rows`.
    """
    return pl.DataFrame({"convention": [_convention(_labelled(content, file), file)]})


def at_full_hours(labelled: pl.DataFrame, *, convention: str) -> pl.DataFrame:
    """Rows whose five minutes end on a full hour, under `convention`.

    The pipeline decides on the hour, and 288 rows a day would carry no more to it.
    """
    end = (pl.col("label") + CONVENTIONS[convention]).cast(INSTANT)
    return (
        labelled.with_columns(end.alias("period_end"))
        .filter(pl.col("period_end").dt.truncate("1h") == pl.col("period_end"))
        .with_columns((pl.col("period_end") + PUBLICATION_DELAY).alias("available_at"))
    )


def settled_convention(
    undecided: UndecidedLabels, *, known: pl.DataFrame, neighbours: Sequence[str], column: str
) -> str | None:
    """The convention of a file that does not show it, or None where no witness speaks clearly.

    Args:
        undecided: the file.
        known: rows of the same symbol that came over REST: `period_end` and `column`.
        neighbours: conventions of the files of the day before and the day after, as far as they show one.
        column: what is compared.
    """
    said = known.select("period_end", pl.col(column).alias("said")).drop_nulls()
    fits = []
    for convention in CONVENTIONS:
        rows = at_full_hours(undecided.labelled, convention=convention)
        both = rows.select("period_end", column).drop_nulls().join(said, on="period_end")
        agrees = ((both[column] - both["said"]).abs() <= _SAME_SHARE * both["said"].abs()).all()
        if both.height and agrees:
            fits.append(convention)
    if len(fits) == 1:
        return fits[0]
    if said.height and not fits:
        overlap = said.filter(pl.col("period_end").is_between(undecided.file.start, undecided.file.end))
        if overlap.height:  # REST was there and neither reading agrees with it: trust none
            return None
    return neighbours[0] if len(neighbours) == 2 and neighbours[0] == neighbours[1] else None


def _labelled(content: bytes, file: ArchiveFile) -> pl.DataFrame:
    rows = read_rows(content, FIELDS, file)
    return rows.with_columns(labels(rows["create_time"], where=file.key).alias("label"))


def _convention(labelled: pl.DataFrame, file: ArchiveFile) -> str:
    first, last = labelled["label"].min(), labelled["label"].max()
    starts_at_midnight, ends_at_midnight = first == file.start, last == file.end
    if ends_at_midnight and not starts_at_midnight:
        return "END"
    if starts_at_midnight and not ends_at_midnight:
        return "START"
    raise UndecidedLabels(
        f"{file.key}: labels run {first!s} .. {last!s}, which fits neither 00:05 .. 00:00 (END) "
        "nor 00:00 .. 23:55 (START). "
        "The file was not used: a wrong guess would look five minutes ahead.",
        file=file,
        labelled=labelled,
    )
