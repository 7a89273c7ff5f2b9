"""Time: the only place that reads the wall clock, and the vocabulary of instants.

Belongs here: `Clock`, UTC conversions, hour arithmetic. Does not belong: asking the exchange for its time
(`exchange.http.transport`), deciding what is too old (`signals.gating.freshness`).

Words used everywhere: `open_time` is the start of a bar, `close_time` its exclusive end (Binance's own
`close_time` is one millisecond earlier), `available_at` the first instant at which a row could have been
known, `decision_time` the full hour a signal is for.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

HOUR = timedelta(hours=1)


class Clock(Protocol):
    """Anything that can say what time it is, in UTC."""

    def now(self) -> datetime:
        """Timezone-aware current time, UTC."""
        ...


class SystemClock:
    """The wall clock of this host."""

    def now(self) -> datetime:
        """Timezone-aware current time, UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still; for replay and tests."""

    def __init__(self, instant: datetime) -> None:
        self.instant = require_utc(instant)

    def now(self) -> datetime:
        """The instant it was made with."""
        return self.instant


def require_utc(instant: datetime) -> datetime:
    """Return `instant` in UTC.

    Raises:
        ValueError: `instant` carries no time zone; naive times are refused everywhere.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone. Write it with an explicit offset, for example ...T12:00:00Z.")
    return instant.astimezone(UTC)


def floor_hour(instant: datetime) -> datetime:
    """The newest full hour at or before `instant`: the newest hour that can be decided."""
    return require_utc(instant).replace(minute=0, second=0, microsecond=0)


def floor_interval(instant: datetime, interval: timedelta) -> datetime:
    """The newest multiple of `interval` since the epoch at or before `instant`."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (require_utc(instant) - epoch) // interval * interval


def to_milliseconds(instant: datetime) -> int:
    """Epoch milliseconds, as the exchange's REST API speaks."""
    return int((require_utc(instant) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def from_milliseconds(milliseconds: int) -> datetime:
    """UTC instant of epoch milliseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 instant such as `2025-06-29T12:00:00Z`.

    Raises:
        ValueError: not ISO 8601, or without an offset.
    """
    return require_utc(datetime.fromisoformat(text))


def iso(instant: datetime) -> str:
    """`2025-06-29T12:00:00Z`: seconds precision, always UTC."""
    return require_utc(instant).replace(microsecond=0).isoformat().replace("+00:00", "Z")
