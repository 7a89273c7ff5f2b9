"""Keeping the folder of logs small: old JSON lines compressed, very old ones removed, process logs cut.

Belongs here: what is done to which file. Does not belong: writing the lines (`signal_log`), when it runs. The table
`signals` holds the same records for ever; the lines are for people and shippers of logs.

    signals_20250629.jsonl      older than `compress_after_days` -> signals_20250629.jsonl.gz
    signals_20250101.jsonl.gz   older than `keep_days` -> removed
    daemon.log                  larger than `max_bytes` -> the end of it; its writer goes on appending
"""

import gzip
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_LINES = re.compile(r"signals_(\d{8})\.jsonl(\.gz)?")


@dataclass(frozen=True)
class Rotation:
    """Names of the files that were compressed, removed and cut."""

    compressed: tuple[str, ...]
    removed: tuple[str, ...]
    cut: tuple[str, ...]


def rotate_logs(
    folder: Path, *, now: datetime, compress_after_days: int = 7, keep_days: int = 365, max_bytes: int = 50 * 2**20
) -> Rotation:
    """Rotate what is due; doing it again changes nothing.

    A day's file is never touched before its day and the next have passed: a late record of the day may still come.

    Args:
        folder: of the logs; it need not exist.
        now: exchange time, as the names of the files.
        compress_after_days: age of a day's lines, at least 2.
        keep_days: age at which they are removed.
        max_bytes: what a process log may have.

    Raises:
        ValueError: lines would be removed before they are compressed, or compressed while they are written.
    """
    if not 2 <= compress_after_days <= keep_days:
        raise ValueError(
            f"Lines are compressed after {compress_after_days} and removed after {keep_days} days; the first must be "
            "at least 2 and at most the second."
        )
    compressed, removed = [], []
    for path in sorted(folder.glob("signals_*.jsonl*")):
        name = _LINES.fullmatch(path.name)
        if name is None:
            continue
        age = now - datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC)
        if age > timedelta(days=keep_days + 1):
            path.unlink()
            removed.append(path.name)
        elif age > timedelta(days=compress_after_days + 1) and not name[2]:
            _compress(path)
            compressed.append(path.name)
    cut = [path.name for path in sorted(folder.glob("*.log")) if _cut(path, max_bytes=max_bytes)]
    return Rotation(tuple(compressed), tuple(removed), tuple(cut))


def _compress(path: Path) -> None:
    """Replace the file by its compressed copy; killed between the two, both are there and the next turn finishes."""
    target = path.with_name(f"{path.name}.gz")
    draft = path.with_name(f".{path.name}.gz.part")
    with path.open("rb") as source, gzip.open(draft, "wb") as sink:
        shutil.copyfileobj(source, sink)
    draft.replace(target)
    path.unlink()


def _cut(path: Path, *, max_bytes: int) -> bool:
    """Keep the last half of a log that grew too large, from a full line on.

    The file stays the same one, since its writer holds it open in append mode. What it writes between reading and
    cutting is lost: a line or two of a process log, never a signal.
    """
    size = path.stat().st_size
    if size <= max_bytes:
        return False
    with path.open("r+b") as stream:
        stream.seek(size - max_bytes // 2)
        stream.readline()
        kept = stream.read()
        stream.seek(0)
        stream.write(kept)
        stream.truncate()
    return True
