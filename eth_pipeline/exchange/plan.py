"""Which archive files hold what is missing, and which part of it REST still serves.

Belongs here: pure arithmetic on holes and the calendar. Does not belong: asking, keeping score (`ingest`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from eth_pipeline.exchange.doubts.gaps import Hole
from eth_pipeline.exchange.formats.archive_files import DAY, ArchiveFile, day_start, month_start
from eth_pipeline.exchange.streams import Stream

_WORTH_A_FILE = timedelta(days=10)  # a month that misses more than this comes from the archive, less from REST
_MOST_REPAIR_FILES = 62


def whole_files(stream: Stream, symbol: str, holes: Sequence[Hole], *, now: datetime) -> list[ArchiveFile]:
    """Files that are missing as a whole, or nearly so: months, or days where no months are published."""
    if not stream.archive.monthly:
        return [file for file in daily_files(stream, symbol, holes, now=now) if file.end <= now - stream.archive_after]
    months = _missing_by(holes, month_start)
    files = [stream.archive.month(symbol, month) for month, missing in months.items() if missing > _WORTH_A_FILE]
    return [file for file in files if file.end <= now]


def daily_files(stream: Stream, symbol: str, holes: Sequence[Hole], *, now: datetime) -> list[ArchiveFile]:
    """Daily files, complete by `now`, about the instants of `holes`."""
    shifted = [Hole(h.first - stream.file_offset, h.last - stream.file_offset, h.step) for h in holes]
    files = [stream.archive.day(symbol, day) for day in _missing_by(shifted, day_start)]
    return [file for file in files if file.end <= now]


def repair_files(
    stream: Stream, symbol: str, holes: Sequence[Hole], *, now: datetime, tried: set[str]
) -> list[ArchiveFile]:
    """The smallest files about `holes` that were not tried yet; the newest ones where there are very many."""
    if stream.archive.daily:
        files = daily_files(stream, symbol, holes, now=now)
    else:
        months = [stream.archive.month(symbol, month) for month in _missing_by(holes, month_start)]
        files = [file for file in months if file.end <= now]
    return [file for file in files if file.key not in tried][-_MOST_REPAIR_FILES:]


def within(holes: Iterable[Hole], file: ArchiveFile) -> list[Hole]:
    """The part of `holes` that `file` is about."""
    inside = [(max(hole.first, file.start), min(hole.last, file.end - hole.step), hole.step) for hole in holes]
    return [Hole(first, last, step) for first, last, step in inside if first <= last]


def reachable(stream: Stream, holes: Iterable[Hole], *, now: datetime) -> list[Hole]:
    """The part of `holes` that REST still serves."""
    if stream.api_reach is None:
        return list(holes)
    oldest = now - stream.api_reach
    return [replace(hole, first=max(hole.first, oldest)) for hole in holes if hole.last >= oldest]


def _missing_by(holes: Sequence[Hole], start_of: Callable[[datetime], datetime]) -> dict[datetime, timedelta]:
    """How much time is missing in each month or day that `holes` touch, oldest first."""
    missing: dict[datetime, timedelta] = {}
    for hole in holes:
        instant = hole.first
        while instant <= hole.last:
            start = start_of(instant)
            following = start_of(start + (32 * DAY if start_of is month_start else DAY))
            end = min(following, hole.last + hole.step)
            missing[start] = missing.get(start, timedelta(0)) + (end - instant)
            instant = following
    return dict(sorted(missing.items()))
