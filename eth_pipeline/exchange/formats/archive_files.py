"""Names of the archive's files: which file is about which instants of which series.

Belongs here: keys and spans. Does not belong: fetching (`exchange.archive`), which kinds are published for a stream
(`exchange.streams`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = timedelta(days=1)


@dataclass(frozen=True)
class ArchiveFile:
    """One file: its key, and the instants `start` <= t < `end` it is about."""

    key: str
    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rsplit("/", 1)[1]


@dataclass(frozen=True)
class ArchiveSeries:
    """Where the archive keeps one kind of data.

    Attributes:
        market: `data/futures/um` or `data/spot`.
        kind: `klines`, `markPriceKlines`, `fundingRate` or `metrics`.
        interval: bar size as in the key; None for kinds without one.
        monthly, daily: which of the two this kind is published in.
    """

    market: str
    kind: str
    interval: str | None
    monthly: bool
    daily: bool

    def month(self, symbol: str, instant: datetime) -> ArchiveFile:
        """The monthly file that covers `instant`."""
        start = month_start(instant)
        return ArchiveFile(self._key("monthly", symbol, f"{start:%Y-%m}"), start, month_start(start + 32 * DAY))

    def day(self, symbol: str, instant: datetime) -> ArchiveFile:
        """The daily file that covers `instant`."""
        start = day_start(instant)
        return ArchiveFile(self._key("daily", symbol, f"{start:%Y-%m-%d}"), start, start + DAY)

    def _key(self, period: str, symbol: str, date: str) -> str:
        folder = f"{self.market}/{period}/{self.kind}/{symbol}"
        if self.interval is None:
            return f"{folder}/{symbol}-{self.kind}-{date}.zip"
        return f"{folder}/{self.interval}/{symbol}-{self.interval}-{date}.zip"


def month_start(instant: datetime) -> datetime:
    """First instant of the calendar month of `instant`, UTC."""
    return instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def day_start(instant: datetime) -> datetime:
    """First instant of the UTC day of `instant`."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
