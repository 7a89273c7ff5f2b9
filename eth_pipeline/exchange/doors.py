"""One series once through the doors: archive for history, REST for the tail, archive again for what REST left.

Belongs here: the order of the doors for one symbol, falling from one to the other, what each refused. Does not
belong: one door's work (`archive`, `pages`), writing and the ledger (`ingest`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import polars as pl

from eth_pipeline.contracts.quality import Cause, Status
from eth_pipeline.errors import RegionRestricted, RetryLater
from eth_pipeline.exchange.archive import Archive, Opened
from eth_pipeline.exchange.doubts.findings import Absence, events
from eth_pipeline.exchange.doubts.gaps import AbsentRanges, Hole, merged
from eth_pipeline.exchange.doubts.ledger import Report
from eth_pipeline.exchange.formats.archive_files import DAY, ArchiveFile
from eth_pipeline.exchange.formats.metrics import UndecidedLabels, at_full_hours, convention_of, settled_convention
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.pages import fetch_pages
from eth_pipeline.exchange.plan import daily_files, reachable, repair_files, whole_files, within
from eth_pipeline.exchange.result import IngestResult, Outcome, summarise
from eth_pipeline.exchange.series import Series
from eth_pipeline.exchange.streams import Stream
from eth_pipeline.lake import Upsert


class Progress(Protocol):
    """Anything that can show how far a long ingestion is; a CLI's bar."""

    def start(self, total: int, text: str) -> None:
        """A new stretch of `total` units begins."""
        ...

    def advance(self, n: int) -> None:
        """`n` units of it are done."""
        ...


class Doors:
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
        self._refused: list[Opened] = []
        self._replaced: list[Opened] = []
        self._used: list[datetime] = []
        self._sent = 0
        self._asked = self._asked_for_holes = False
        self._archive_failure: RetryLater | RegionRestricted | None = None
        self._api_failure: RetryLater | RegionRestricted | None = None
        self._failed_range_first = now

    def fetch(self) -> None:
        """Ask for what is missing; the rows are in the series afterwards, nothing is written.

        Raises:
            ContractViolation: the exchange changed its format.
            RequestRefused, SettingsInvalid, ProvenanceMismatch: an operator must act.
        """
        if not self._holes():
            return
        sent_before, self._asked, self._asked_for_holes = self._transport.requests_sent, True, True
        try:
            self._from_archive(whole_files(self._stream, self._series.symbol, self._holes(), now=self._now))
            self._from_api()
            self._repair()
            self._settle_labels()
        finally:
            if isinstance(self._api_failure, RetryLater):
                self._series.drop_from(self._first_unasked())
            self._sent = self._transport.requests_sent - sent_before

    def reread(self, files: Sequence[ArchiveFile]) -> None:
        """Read `files` again, whether or not anything is missing: the archive replaced them."""
        sent_before, self._asked = self._transport.requests_sent, True
        for is_daily in (False, True):  # a month and a day of it hold the same rows; neither holds them twice
            self._from_archive([file for file in files if (file.end - file.start <= DAY) == is_daily])
        self._settle_labels()
        self._sent = self._transport.requests_sent - sent_before

    def finish(self, written: Upsert) -> tuple[IngestResult, Report]:
        """After the write: remember what both doors lack; the result, and the report for the ledger."""
        failed = self._archive_failure is not None or self._api_failure is not None
        if self._asked_for_holes and not failed:
            newest = self._series.newest
            # without those that rest: noted again each hour, they would never be asked for again
            asked = [hole for hole in self._holes() if newest is not None and hole.last < newest]
            self._absent.remember(asked, now=self._now)
        outcome = self._outcome() if self._asked else "local"
        result = summarise(
            self._series,
            outcome,
            written,
            requests=self._sent,
            failure=self._api_failure or self._archive_failure,
            refused_files=[str(opened.refusal) for opened in self._refused],
        )
        return result, self._report(self._series.absence(never=self._absent.never), failed=failed)

    def _report(self, absence: Absence, *, failed: bool) -> Report:
        symbol = self._series.symbol
        refused = [(opened.file.start, f"{opened.file.key}: {opened.refusal}") for opened in self._refused]
        replaced = [
            (opened.file.start, f"{opened.file.key}: the version of sha256 {str(opened.replaced)[:12]}… was replaced")
            for opened in self._replaced
        ]
        found = [
            events(self._series.doubled.items(), cause=Cause.DUPLICATE, status=Status.REPAIRED, symbol=symbol),
            events(self._series.revised, cause=Cause.REVISED, status=Status.REPAIRED, symbol=symbol),
            events(refused, cause=Cause.FILE_REFUSED, status=Status.REFUSED, symbol=symbol),
            events(replaced, cause=Cause.FILE_REPLACED, status=Status.REPAIRED, symbol=symbol),
        ]
        return Report(
            series=self._series.name,
            symbol=symbol,
            absence=None if absence.is_empty and failed else absence,
            bad=self._series.still_bad(),
            events=pl.concat(found),
            used_files=tuple(self._used),
        )

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
                    self._used.append(opened.file.start)
                    if opened.replaced is not None:
                        self._replaced.append(opened)
                elif opened.refusal is not None:
                    self._refused.append(opened)
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
        oldest, newest, holes = self._series.oldest, self._series.newest, self._holes()
        if newest is not None and self._api_failure is None:
            holes = [hole for hole in holes if hole.last < newest]
        if oldest is not None:
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

    def _settle_labels(self) -> None:
        """Metrics files that do not show their label convention: let REST rows or the neighbouring files decide."""
        for opened in [one for one in self._refused if isinstance(one.refusal, UndecidedLabels)]:
            undecided = opened.refusal
            assert isinstance(undecided, UndecidedLabels)
            column = next(name for name in self._stream.contract.schema if name in _WITNESSES)
            convention = settled_convention(
                undecided,
                known=self._series.from_api(since=opened.file.start, until=opened.file.end, column=column),
                neighbours=self._conventions_beside(opened.file),
                column=column,
            )
            if convention is None:
                continue
            rows = at_full_hours(undecided.labelled, convention=convention)
            columns = [name for name in rows.columns if name in self._stream.contract.schema and name != "symbol"]
            self._series.take(rows.select(columns), source="archive", provenance=self._transport.provenance())
            self._refused.remove(opened)
            self._used.append(opened.file.start)

    def _conventions_beside(self, file: ArchiveFile) -> list[str]:
        beside = [self._stream.archive.day(self._series.symbol, file.start + step) for step in (-DAY, DAY)]
        if self._archive_failure is not None or any(one.end > self._now for one in beside):
            return []
        try:
            opened = list(self._archive.open_all(beside, convention_of))
        except (RetryLater, RegionRestricted):
            return []
        return [str(one.rows["convention"][0]) for one in opened if one.rows is not None]


_WITNESSES = ("open_interest", "account_ratio")
