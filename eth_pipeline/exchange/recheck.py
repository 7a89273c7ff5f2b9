"""Did the archive replace files that were used? Ask for their checksums again, a few at a time, and read what changed.

Belongs here: choosing files, asking, reading replaced ones. Does not belong: one series' way (`doors`), keeping
versions (`archive`). Binance corrects files months later; a model trained on the old version must stay provable,
so the old one is kept beside the new one and the gap ledger has an entry.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eth_pipeline.contracts.clock import require_utc
from eth_pipeline.errors import RegionRestricted, RetryLater
from eth_pipeline.exchange.archive import Archive
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import reread_files
from eth_pipeline.exchange.streams import Stream, stream_named
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings

CHECK_AGAIN_AFTER = timedelta(days=30)


@dataclass(frozen=True)
class Recheck:
    """What asking again found: files asked for, keys that were replaced, rows that changed, rows that were added."""

    checked: int
    replaced: tuple[str, ...]
    updated: int
    inserted: int
    detail: str


def recheck_archive(
    stream: str, *, transport: Transport, lake: Lake, settings: Settings, now: datetime, most_files: int = 200
) -> Recheck:
    """Ask for the checksums of up to `most_files` kept files of `stream`, those longest unchecked first.

    Replaced files are read, contradicting rows are replaced in the lake, the ledger says `file_replaced`.

    Args:
        stream: a table name of `contracts.tables.STREAMS`.
        now: exchange time.
        most_files: one small request each; a file is due again after 30 days.

    Raises:
        ContractViolation, ProvenanceMismatch: as `ingest_stream`.
    """
    spec, now = stream_named(stream, settings), require_utc(now)
    archive = Archive(
        transport, settings.home / "archive", parallel_downloads=settings.exchange.archive_parallel_downloads
    )
    due = _due(archive, transport.state, spec, now=now)[:most_files]
    try:
        with ThreadPoolExecutor(settings.exchange.archive_parallel_downloads, thread_name_prefix="recheck") as pool:
            flags = list(pool.map(lambda one: archive.is_replaced(one[1]), due))
    except (RetryLater, RegionRestricted) as error:
        return Recheck(0, (), 0, 0, f"The archive did not answer: {error}")
    changed = [one for one, is_replaced in zip(due, flags, strict=True) if is_replaced]
    by_symbol: dict[str, list[ArchiveFile]] = {}
    for symbol, file in changed:
        by_symbol.setdefault(symbol, []).append(file)
    results = reread_files(spec, by_symbol, transport=transport, lake=lake, settings=settings, now=now)
    _remember(transport.state, [file for _, file in due], now=now)
    return Recheck(
        len(due),
        tuple(file.key for _, file in changed),
        sum(result.updated for result in results),
        sum(result.inserted for result in results),
        f"{len(due)} files checked, {len(changed)} were replaced by the archive.",
    )


def _due(archive: Archive, state: HostState, stream: Stream, *, now: datetime) -> list[tuple[str, ArchiveFile]]:
    checked = dict(state.rows("SELECT key, at_us FROM checked"))
    limit_us = int((now - CHECK_AGAIN_AFTER).timestamp() * 1e6)
    files = [(symbol, file) for symbol in stream.symbols for file in _kept(archive, stream, symbol)]
    due = [(symbol, file) for symbol, file in files if checked.get(file.key, 0) <= limit_us]
    return sorted(due, key=lambda one: (checked.get(one[1].key, 0), -one[1].start.timestamp()))


def _kept(archive: Archive, stream: Stream, symbol: str) -> list[ArchiveFile]:
    """Kept monthly and daily files of one series."""
    example = datetime(2020, 1, 1, tzinfo=UTC)
    found = []
    for make, length in ((stream.archive.month, 7), (stream.archive.day, 10)):
        for name in archive.kept_names(make(symbol, example).key.rsplit("/", 1)[0]):
            date = name.removesuffix(".zip")[-length:]
            try:
                start = datetime.strptime(date if length == 10 else f"{date}-01", "%Y-%m-%d").replace(tzinfo=UTC)
            except ValueError:
                continue
            if (file := make(symbol, start)).name == name:
                found.append(file)
    return found


def _remember(state: HostState, files: Sequence[ArchiveFile], *, now: datetime) -> None:
    with state.transaction() as db:
        db.executemany(
            "INSERT OR REPLACE INTO checked VALUES (?, ?)",
            [(file.key, int(now.timestamp() * 1e6)) for file in files],
        )
