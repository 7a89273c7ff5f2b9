"""Whether the newest record is the signal of now: the one judgement that keeps old figures from passing as current.

Belongs here: the judgement and its sentence. Does not belong: reading records (`source`), showing them (`web.pages`).

    current   the record is of the hour that runs now
    waiting   the hour has just begun and its record is not due yet
    overdue   its record is due and not there
    absent    nothing was ever recorded
    ahead     the newest record is of an hour that has not begun here: one of two clocks is wrong
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from eth_pipeline.contracts.clock import HOUR, floor_hour, iso
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.wording import board as wording


class Status(StrEnum):
    """How the newest record stands to the hour that runs now."""

    CURRENT = "current"
    WAITING = "waiting"
    OVERDUE = "overdue"
    ABSENT = "absent"
    AHEAD = "ahead"


@dataclass(frozen=True)
class Standing:
    """The newest record and what it is worth now.

    Attributes:
        newest: the newest record, of whatever hour.
        hour: the hour that runs now; its record is the one that counts.
        due_at: when that record is overdue.
        statement: a sentence for people.
    """

    status: Status
    newest: SignalRecord | None
    hour: datetime
    due_at: datetime
    statement: str

    @property
    def signal(self) -> SignalRecord | None:
        """The record that may be acted upon now; None whatever else is known."""
        return self.newest if self.status is Status.CURRENT else None

    @property
    def last_known(self) -> SignalRecord | None:
        """The newest record where it is not current."""
        return None if self.status is Status.CURRENT else self.newest

    @property
    def healthy(self) -> bool:
        """True while nothing is late."""
        return self.status in (Status.CURRENT, Status.WAITING)

    @property
    def next_hour(self) -> datetime:
        """When the next signal is decided."""
        return self.hour + HOUR


def stand(newest: SignalRecord | None, *, now: datetime, grace: timedelta) -> Standing:
    """Judge the newest record.

    Args:
        newest: of the symbol and phase; None where nothing was recorded.
        now: exchange time.
        grace: how long after its hour began a record may take, below one hour.
    """
    hour = floor_hour(now)
    due_at = hour + grace
    status = _status(newest, hour=hour, late=now >= due_at)
    return Standing(status, newest, hour, due_at, _sentence(status, newest, hour=hour, due_at=due_at, now=now))


def duration(span: timedelta) -> str:
    """`45 s`, `12 min`, `2 h 40 min`, `3 d 4 h`: the two largest parts, never negative."""
    seconds = max(int(span.total_seconds()), 0)
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _status(newest: SignalRecord | None, *, hour: datetime, late: bool) -> Status:
    if newest is None:
        return Status.ABSENT
    if newest.decision_time > hour:
        return Status.AHEAD
    if newest.decision_time == hour:
        return Status.CURRENT
    return Status.WAITING if newest.decision_time == hour - HOUR and not late else Status.OVERDUE


def _sentence(status: Status, newest: SignalRecord | None, *, hour: datetime, due_at: datetime, now: datetime) -> str:
    if newest is None:
        return wording.STANDING_ABSENT()
    known = iso(newest.decision_time)
    if status is Status.CURRENT:
        return wording.STANDING_CURRENT(hour=iso(hour))
    if status is Status.WAITING:
        return wording.STANDING_WAITING(hour=iso(hour), due=iso(due_at), known=known)
    if status is Status.AHEAD:
        return wording.STANDING_AHEAD(known=known, now=iso(now))
    age = duration(now - newest.decision_time)
    return wording.STANDING_OVERDUE(hour=iso(hour), due=iso(due_at), known=known, age=age)
