"""What one ingestion of one series did, as a value and as one plain sentence.

Belongs here: `IngestResult` and how it is worded. Does not belong: doing it (`ingest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import polars as pl

from eth_pipeline.contracts.clock import iso
from eth_pipeline.exchange.doubts.gaps import Hole
from eth_pipeline.exchange.series import Series
from eth_pipeline.lake import Upsert

Outcome = Literal["local", "fetched", "unavailable", "restricted"]


@dataclass(frozen=True)
class IngestResult:
    """What one ingestion of one symbol did.

    Attributes:
        stream, symbol: which series.
        outcome: `local` nothing was asked; `fetched` the doors answered; `unavailable` a door that was needed
            did not; `restricted` REST refuses this location, the archive was used.
        inserted, updated: rows written.
        newest_available_at: newest row of the lake after it; None without rows.
        missing_rows: rows missing between the first and the newest one, refused rows included.
        requests: HTTP requests sent meanwhile.
        detail: one plain sentence.
        refused_rows: rows no door had in a form that the contract allows, with `broken_rule`.
    """

    stream: str
    symbol: str
    outcome: Outcome
    inserted: int
    updated: int
    newest_available_at: datetime | None
    missing_rows: int
    requests: int
    detail: str
    refused_rows: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False, compare=False)

    def after(self, earlier: "IngestResult") -> "IngestResult":
        """This result, with what an earlier look in the same ingestion already wrote and asked."""
        return replace(
            self,
            outcome="fetched" if self.outcome == "local" else self.outcome,
            inserted=earlier.inserted + self.inserted,
            updated=earlier.updated + self.updated,
            requests=earlier.requests + self.requests,
        )


def summarise(
    series: Series,
    outcome: Outcome,
    written: Upsert,
    *,
    requests: int,
    failure: Exception | None,
    refused_files: Sequence[str],
) -> IngestResult:
    """The result of an ingestion that is over.

    Args:
        series: the series after its write.
        outcome, written, requests: what was decided, written and sent.
        failure: what a door raised, where one did.
        refused_files: why archive files were not used.
    """
    gaps, refused = series.gaps(), series.still_bad()
    newest = series.newest
    beyond = refused
    if refused.height and newest is not None:
        beyond = refused.filter(pl.col(series.stream.time_column) > newest)
    sentences = [
        _what_happened(outcome, written, failure),
        *_about_gaps(gaps),
        *_about_rows(refused, series.stream.time_column),
        *_about_files(refused_files),
    ]
    return IngestResult(
        stream=series.stream.contract.name,
        symbol=series.symbol,
        outcome=outcome,
        inserted=written.inserted,
        updated=written.updated,
        newest_available_at=series.newest_available_at,
        missing_rows=sum(gap.rows for gap in gaps) + beyond.height,
        requests=requests,
        detail="; ".join(sentence.rstrip(".") for sentence in sentences) + ".",
        refused_rows=refused,
    )


def _what_happened(outcome: Outcome, written: Upsert, failure: Exception | None) -> str:
    if outcome == "local":
        return "Every row up to now is stored; nothing was asked"
    rows = f"{written.inserted} rows inserted, {written.updated} updated"
    return rows if outcome == "fetched" else f"{rows}, not all that is due: {failure}"


def _about_gaps(gaps: Sequence[Hole]) -> list[str]:
    if not gaps:
        return []
    missing = sum(gap.rows for gap in gaps)
    return [f"{missing} rows are missing between the first and the newest, from {iso(gaps[0].first)} on"]


def _about_rows(refused: pl.DataFrame, time_column: str) -> list[str]:
    if not refused.height:
        return []
    first = refused.sort(time_column).row(0, named=True)
    return [f"{refused.height} rows were refused, the first at {iso(first[time_column])}: {first['broken_rule']}"]


def _about_files(refused_files: Sequence[str]) -> list[str]:
    if not refused_files:
        return []
    return [f"{len(refused_files)} archive files were refused, the first: {refused_files[0]}"]
