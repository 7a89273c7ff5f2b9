"""How far the exchange's clock is from this host's, measured whenever the exchange tells its time.

Belongs here: remembering the newest offset for all processes of this host. Does not belong: asking (`transport`),
deciding whether an estimate is good enough (the gate). Half of the round trip is the uncertainty: an answer that
took longer than `_SLOW` measures nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eth_pipeline.exchange.http.state import HostState

_SLOW = timedelta(seconds=5)


@dataclass(frozen=True)
class ClockOffset:
    """Exchange time less host time.

    Attributes:
        offset: positive where the exchange is ahead.
        round_trip: of the request that measured it; half of it is the largest error.
        measured_at: host time of the measurement, UTC.
    """

    offset: timedelta
    round_trip: timedelta
    measured_at: datetime


def remember_offset(
    state: HostState, host: str, *, exchange_time: datetime, asked: datetime, round_trip: timedelta
) -> None:
    """Store the offset of one answer; the exchange is taken to have answered in the middle of the round trip.

    Args:
        state: of this host.
        host: network location of the exchange.
        exchange_time: what it answered.
        asked: host time when the request began.
        round_trip: until the answer was there, retries included.
    """
    if round_trip > _SLOW:
        return
    offset = exchange_time - (asked + round_trip / 2)
    with state.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?)",
            (host, offset.total_seconds(), round_trip.total_seconds(), asked.timestamp()),
        )


def newest_offset(state: HostState, host: str) -> ClockOffset | None:
    """What `remember_offset` stored last for `host`."""
    row = state.row("SELECT offset_seconds, round_trip_seconds, measured_at FROM offsets WHERE host = ?", (host,))
    if row is None:
        return None
    return ClockOffset(timedelta(seconds=row[0]), timedelta(seconds=row[1]), datetime.fromtimestamp(row[2], tz=UTC))
