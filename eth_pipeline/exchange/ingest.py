"""Bring a stream up to date: fresh local rows, else the archive for history, else REST for the tail, else say so.

Belongs here: all symbols of a stream together, the one write, the ledger, waiting for a bar that has just closed.
Does not belong: one series' way through the doors (`doors`), its rows (`series`), judging freshness
(`signals.gating.freshness`).

An exchange that is down is an outcome, not an exception: the decision plane must learn about it in a row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import floor_interval, require_utc
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.exchange.archive import Archive
from eth_pipeline.exchange.difference import Difference, difference
from eth_pipeline.exchange.doors import Doors, Progress
from eth_pipeline.exchange.doubts.ledger import Report, record
from eth_pipeline.exchange.doubts.suspects import COMPARED, suspects
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.late_bars import is_worth_another_look
from eth_pipeline.exchange.result import IngestResult
from eth_pipeline.exchange.series import Series
from eth_pipeline.exchange.streams import Stream, stream_named
from eth_pipeline.lake import Lake, Upsert
from eth_pipeline.settings import Settings


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

    All symbols are written in one commit. What was missing, late, doubled, refused or corrected is written to the
    gap ledger and the quarantine; a run in which none of that changed writes neither.

    Args:
        stream: a table name of `contracts.tables.STREAMS`.
        now: exchange time; only rows known by then (`available_at` <= now) are stored.
        progress: shown on long work; None is silent.

    Returns:
        One result per symbol, the main symbol first. An exchange that does not answer is an outcome.

    Raises:
        ContractViolation: the exchange changed its format.
        RequestRefused, SettingsInvalid, ProvenanceMismatch: an operator must act. Symbols fetched before are stored.
    """
    run = _Run(
        stream_named(stream, settings), transport, lake, settings, now=require_utc(now), progress=progress or _Silent()
    )
    results = run.ingest(run.stream.symbols)
    patience = timedelta(seconds=settings.exchange.bar_wait_seconds)
    closed_at = floor_interval(run.now, run.stream.step)
    while late := [symbol for symbol, result in results.items() if _is_late(run.stream, result, closed_at)]:
        if not is_worth_another_look(transport, closed_at=closed_at, patience=patience):
            break
        again = run.ingest(late)
        results.update({symbol: again[symbol].after(results[symbol]) for symbol in late})
    run.keep_ledger()
    return tuple(results.values())


def reread_files(
    stream: Stream,
    files: Mapping[str, Sequence[ArchiveFile]],
    *,
    transport: Transport,
    lake: Lake,
    settings: Settings,
    now: datetime,
) -> tuple[IngestResult, ...]:
    """Read archive files that were replaced, by symbol, and correct the rows that they contradict.

    Raises:
        As `ingest_stream`.
    """
    if not files:
        return ()
    run = _Run(stream, transport, lake, settings, now=now, progress=_Silent())
    results = run.ingest(list(files), reread=files)
    run.keep_ledger()
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


class _Run:
    """One ingestion of one stream."""

    def __init__(
        self,
        stream: Stream,
        transport: Transport,
        lake: Lake,
        settings: Settings,
        *,
        now: datetime,
        progress: Progress,
    ) -> None:
        self.stream = stream
        self.now = now
        self._transport = transport
        self._lake = lake
        self._start = settings.history_start
        self._archive = Archive(
            transport, settings.home / "archive", parallel_downloads=settings.exchange.archive_parallel_downloads
        )
        self._progress = progress
        self._reports: dict[str, Report] = {}
        self._written: list[pl.Series] = []

    def ingest(
        self, symbols: Sequence[str], *, reread: Mapping[str, Sequence[ArchiveFile]] | None = None
    ) -> dict[str, IngestResult]:
        """Fetch what `symbols` miss, or the files of `reread`, one after the other; write them in one commit."""
        doors, series = self._opened(symbols)
        trouble: NeedsHuman | None = None
        for symbol in symbols:
            try:
                if reread is None:
                    doors[symbol].fetch()
                else:
                    doors[symbol].reread(reread[symbol])
            except NeedsHuman as error:
                trouble = error
                break
        written = self._write(list(series.values()))
        if trouble is not None:
            raise trouble
        results = {}
        for symbol in symbols:
            results[symbol], report = doors[symbol].finish(written[symbol])
            self._reports[symbol] = report.after(self._reports.get(symbol))
        return results

    def keep_ledger(self) -> None:
        """Write what was found, doubted bars included."""
        reports = list(self._reports.values())
        doubted = self._doubted()
        if doubted is not None and doubted.height:
            reports = [report.with_events(doubted.filter(pl.col("symbol") == report.symbol)) for report in reports]
        record(
            self._lake,
            self._transport.state,
            self.stream,
            reports,
            now=self.now,
            provenance=self._transport.known_provenance,
        )

    def _opened(self, symbols: Sequence[str]) -> tuple[dict[str, Doors], dict[str, Series]]:
        time = self.stream.time_column
        mine = pl.col("symbol").is_in(list(symbols))
        if self.stream.interval is not None:
            mine = mine & (pl.col("interval") == self.stream.interval)
        stored = self._lake.read(
            self.stream.contract, where=mine, columns=["symbol", time, "available_at"], ordered=False
        )
        of_symbol = stored.partition_by("symbol", include_key=False, as_dict=True)
        nothing = stored.clear()
        series = {
            symbol: Series(
                self._lake,
                self.stream,
                symbol,
                now=self.now,
                history_start=self._start,
                stored=of_symbol.get((symbol,), nothing),
            )
            for symbol in symbols
        }
        doors = {
            symbol: Doors(one, self._transport, self._archive, now=self.now, progress=self._progress)
            for symbol, one in series.items()
        }
        return doors, series

    def _write(self, series: Sequence[Series]) -> dict[str, Upsert]:
        """One atomic upsert of what `series` have and the lake has not, or has otherwise."""
        new = pl.concat([one.new for one in series]).sort(self.stream.time_column)
        found = Difference(new, new)

        def choose(known: pl.DataFrame) -> pl.DataFrame:
            nonlocal found
            found = difference(self.stream.contract, new, known)
            return found.rows

        if new.height:
            self._lake.upsert(self.stream.contract, new, choose=choose)
            self._written.append(found.rows[self.stream.time_column])
        again = found.revised.select("symbol", self.stream.time_column).rows()
        inserted, updated = _rows_of_each(found.fresh), _rows_of_each(found.revised)
        for one in series:
            one.revised = [
                (time, "published again with other values") for symbol, time in again if symbol == one.symbol
            ]
        return {one.symbol: Upsert(inserted.get(one.symbol, 0), updated.get(one.symbol, 0), 0, None) for one in series}

    def _doubted(self) -> pl.DataFrame | None:
        if self.stream.contract.name not in COMPARED or not self._written:
            return None
        times = pl.concat(self._written)
        first, last = times.min(), times.max()
        if not (isinstance(first, datetime) and isinstance(last, datetime)):
            return None
        return suspects(self._lake, self.stream, first=first - self.stream.step, last=last)


def _rows_of_each(rows: pl.DataFrame) -> dict[str, int]:
    return dict(rows["symbol"].value_counts().iter_rows())
