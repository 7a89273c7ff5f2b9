"""Bring a stream up to date: fresh local rows, else the archive for history, else REST for the tail, else say so.

Belongs here: the order of the doors, falling from one to the other, the result. Does not belong: one door's work
(`archive`, `pages`), the rows and the write (`series`), judging freshness (`signals.freshness`).

An exchange that is down is an outcome, not an exception: the decision plane must learn about it in a row.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from eth_pipeline.contracts.clock import floor_interval, require_utc
from eth_pipeline.errors import RegionRestricted, RetryLater
from eth_pipeline.exchange.archive import DAY, Archive, ArchiveFile
from eth_pipeline.exchange.gaps import AbsentRanges, Hole, merged
from eth_pipeline.exchange.late_bars import is_worth_another_look
from eth_pipeline.exchange.pages import fetch_pages
from eth_pipeline.exchange.plan import daily_files, reachable, repair_files, whole_files, within
from eth_pipeline.exchange.result import IngestResult, Outcome, summarise
from eth_pipeline.exchange.series import Series
from eth_pipeline.exchange.streams import Stream, stream_named
from eth_pipeline.exchange.transport import Transport
from eth_pipeline.lake import Lake, Upsert
from eth_pipeline.settings import Settings


class Progress(Protocol):
    """Anything that can show how far a long ingestion is; a CLI's bar."""

    def start(self, total: int, text: str) -> None:
        """A new stretch of `total` units begins."""
        ...

    def advance(self, n: int) -> None:
        """`n` units of it are done."""
        ...


def ingest_stream(
    stream: str,
    *,
    transport: Transport,
    lake: Lake,
    settings: Settings,
    now: datetime,
    progress: Progress | None = None,
) -> tuple[IngestResult, ...]:
    """Bring every symbol of `stream` up to `now`; fetches only what is missing.

    Args:
        stream: a table name of `contracts.tables.STREAMS`.
        now: exchange time; only rows known by then (`available_at` <= now) are stored.
        progress: shown on long work; None is silent.

    Returns:
        One result per symbol, the main symbol first. An exchange that does not answer is an outcome.

    Raises:
        ContractViolation: the exchange changed its format.
        RequestRefused, SettingsInvalid, ProvenanceMismatch: an operator must act.
    """
    spec = stream_named(stream, settings)
    archive = Archive(
        transport, settings.home / "archive", parallel_downloads=settings.exchange.archive_parallel_downloads
    )
    now = require_utc(now)

    def ingest(symbol: str) -> IngestResult:
        series = Series(lake, spec, symbol, now=now, history_start=settings.history_start)
        return _Ingestion(series, transport, archive, now=now, progress=progress or _Silent()).run()

    results = {symbol: ingest(symbol) for symbol in spec.symbols}
    patience = timedelta(seconds=settings.exchange.bar_wait_seconds)
    closed_at = floor_interval(now, spec.step)
    while late := [symbol for symbol, result in results.items() if _is_late(spec, result, closed_at)]:
        if not is_worth_another_look(transport, closed_at=closed_at, patience=patience):
            break
        results.update({symbol: ingest(symbol).after(results[symbol]) for symbol in late})
    return tuple(results.values())


def _is_late(stream: Stream, result: IngestResult, closed_at: datetime) -> bool:
    """The doors answered and the bar that closed last was not among the rows."""
    newest = result.newest_available_at
    return stream.spacing == "fixed" and result.outcome == "fetched" and (newest is None or newest < closed_at)


class _Silent:
    def start(self, total: int, text: str) -> None:
        pass

    def advance(self, n: int) -> None:
        pass


class _Ingestion:
    """One symbol of one stream, once through the doors."""

    def __init__(
        self, series: Series, transport: Transport, archive: Archive, *, now: datetime, progress: Progress
    ) -> None:
        self._series = series
        self._stream: Stream = series.stream
        self._transport = transport
        self._archive = archive
        self._now = now
        self._progress = progress
        self._absent = AbsentRanges(transport.state, series.name)
        self._tried: set[str] = set()
        self._problems: list[str] = []
        self._archive_failure: RetryLater | RegionRestricted | None = None
        self._api_failure: RetryLater | RegionRestricted | None = None
        self._failed_range_first = now

    def run(self) -> IngestResult:
        sent_before = self._transport.requests_sent
        if not self._holes():
            return self._result("local", Upsert(0, 0, 0, None), requests=0)
        self._from_archive(whole_files(self._stream, self._series.symbol, self._holes(), now=self._now))
        self._from_api()
        self._repair()
        if isinstance(self._api_failure, RetryLater):
            self._series.drop_from(self._first_unasked())
        written = self._series.write()
        if self._archive_failure is None and self._api_failure is None:
            newest = self._series.times.max()
            settled = [hole for hole in self._series.holes() if isinstance(newest, datetime) and hole.last < newest]
            self._absent.remember(settled, now=self._now)
        return self._result(self._outcome(), written, requests=self._transport.requests_sent - sent_before)

    def _first_unasked(self) -> datetime:
        """First instant that REST still owes: holes before it were answered, with nothing."""
        left = [hole for hole in self._reachable_holes() if hole.last >= self._failed_range_first]
        return max(left[0].first, self._failed_range_first) if left else self._now

    def _holes(self) -> list[Hole]:
        """What is missing and worth asking for."""
        return self._absent.without(self._series.holes(), now=self._now)

    def _from_archive(self, files: Sequence[ArchiveFile]) -> None:
        """Take `files`; for a month that is absent or refused among published ones, take its days."""
        if not files or self._archive_failure is not None:
            return
        self._progress.start(len(files), f"{self._series.name}: archive")
        rows: list[pl.DataFrame] = []
        without: list[ArchiveFile] = []
        try:
            for opened in self._archive.open_all(files, self._stream.read_file):
                self._tried.add(opened.file.key)
                self._progress.advance(1)
                if opened.rows is not None:
                    rows.append(opened.rows)
                elif opened.problem is not None:
                    self._problems.append(opened.problem)
                    without.append(opened.file)
                elif rows:  # before the first published month nothing was listed yet
                    without.append(opened.file)
        except (RetryLater, RegionRestricted) as error:
            self._archive_failure = error
        if rows:
            self._series.take(pl.concat(rows), source="archive", provenance=self._transport.provenance())
        if self._stream.archive.monthly and self._stream.archive.daily:
            months = [file for file in without if file.end - file.start > DAY]
            holes = [hole for month in months for hole in within(self._holes(), month)]
            self._from_archive(daily_files(self._stream, self._series.symbol, holes, now=self._now))

    def _repair(self) -> None:
        """Ask the archive for holes that REST left; for the tail only where REST failed: it is too new for files."""
        times, holes = self._series.times, self._holes()
        oldest, newest = times.min(), times.max()
        if isinstance(newest, datetime) and self._api_failure is None:
            holes = [hole for hole in holes if hole.last < newest]
        if isinstance(oldest, datetime):
            holes = [hole for hole in holes if hole.first > oldest]
        self._from_archive(repair_files(self._stream, self._series.symbol, holes, now=self._now, tried=self._tried))

    def _reachable_holes(self) -> list[Hole]:
        return reachable(self._stream, self._holes(), now=self._now)

    def _from_api(self) -> None:
        """Ask REST for what is left, oldest first, together with the newest stored rows (they may be revised)."""
        ranges = merged(self._reachable_holes(), nearer_than_rows=self._stream.page_rows)
        if not ranges:
            return
        pages = [hole.rows // self._stream.page_rows + 1 for hole in ranges]
        self._progress.start(sum(pages), f"{self._series.name}: REST")
        newest = self._series.newest_stored
        try:
            for hole in ranges:
                self._failed_range_first = hole.first
                overlap = self._stream.overlap_rows if newest is not None and hole.first > newest else 0
                first = hole.first - overlap * self._stream.step
                for page in fetch_pages(
                    self._transport, self._stream, self._series.symbol, first=first, last=hole.last
                ):
                    self._series.take(page, source="api", provenance=self._transport.provenance())
                    self._progress.advance(1)
        except (RetryLater, RegionRestricted) as error:
            self._api_failure = error

    def _outcome(self) -> Outcome:
        if isinstance(self._api_failure, RegionRestricted):
            return "restricted"
        failure = self._api_failure or self._archive_failure
        if failure is None or not self._holes():  # the other door had it all
            return "fetched"
        return "restricted" if isinstance(failure, RegionRestricted) else "unavailable"

    def _result(self, outcome: Outcome, written: Upsert, *, requests: int) -> IngestResult:
        failure = self._api_failure or self._archive_failure
        return summarise(
            self._series, outcome, written, requests=requests, failure=failure, refused_files=self._problems
        )
