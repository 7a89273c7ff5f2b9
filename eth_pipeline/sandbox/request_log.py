"""What was asked of the embedded exchange: counters and records, for tests and for operators.

Belongs here: remembering answers. Does not belong: judging them. Control requests are not logged.
"""

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT_RECORDS = 20_000


@dataclass(frozen=True)
class RequestRecord:
    """One answered request; `weight` is 0 for the archive, `virtual_time` is ISO text."""

    path: str
    query: str
    stream: str
    symbol: str | None
    status: int
    weight: int
    virtual_time: str


class RequestLog:
    """Counts by path and the newest records; safe to read while the server writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_path: Counter[str] = Counter()
        self._records: deque[RequestRecord] = deque(maxlen=KEPT_RECORDS)

    def add(self, record: RequestRecord) -> None:
        """Remember one answer."""
        with self._lock:
            self._by_path[record.path] += 1
            self._records.append(record)

    def __getitem__(self, path: str) -> int:
        """How often `path` was asked, archive paths and REST paths alike."""
        with self._lock:
            return self._by_path[path]

    @property
    def by_path(self) -> Counter[str]:
        """A copy of all counts."""
        with self._lock:
            return Counter(self._by_path)

    @property
    def total(self) -> int:
        """All requests so far."""
        with self._lock:
            return self._by_path.total()

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The newest records, oldest first."""
        with self._lock:
            return tuple(self._records)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_path.clear()
            self._records.clear()

    def as_json(self, *, newest: int) -> dict[str, Any]:
        """Counts and the `newest` records as plain values."""
        records = self.records
        return {
            "total": self.total,
            "by_path": dict(self.by_path),
            "records": [asdict(record) for record in records[max(0, len(records) - newest) :]],
        }
