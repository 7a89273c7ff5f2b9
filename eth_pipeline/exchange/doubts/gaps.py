"""What is missing from a series: holes between the rows that are there, and what was already asked in vain.

Belongs here: finding holes on a time grid, remembering absent ranges. Does not belong: filling them
(`exchange.ingest`). A hole that both doors were asked for stays a hole and is reported on every run; it is only not
asked for again each time: every hour of its first day, when a glitch of the exchange is the likeliest cause and signals
wait for its rows, then daily, and monthly when it is old (the archive does publish corrected files).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from eth_pipeline.exchange.doubts.instants import Instants, epoch_microseconds, instant_of, microseconds
from eth_pipeline.exchange.http.state import HostState

_YOUNG = timedelta(days=30)
_REST_BY_AGE = (
    (timedelta(days=1), timedelta(minutes=50)),  # less than an hour: no two hourly runs are exactly one apart
    (_YOUNG, timedelta(days=1)),
)
_OLD_REST = timedelta(days=30)


@dataclass(frozen=True, order=True)
class Hole:
    """Missing grid instants `first` .. `last`, both included, `step` apart."""

    first: datetime
    last: datetime
    step: timedelta

    @property
    def rows(self) -> int:
        """How many instants are missing."""
        return (self.last - self.first) // self.step + 1


def find_holes(times: Instants, *, first: datetime, last: datetime, step: timedelta) -> list[Hole]:
    """Holes in `times` on the grid of `step` between `first` and `last`, both included.

    The grid runs on from the row before a hole, so irregular instants (a settlement of an odd hour) make no
    holes by themselves.

    Args:
        times: instants that are there.
        first, last: the first and the newest instant that should be there.
        step: distance of two neighbours.
    """
    if last < first:
        return []
    first_us, last_us, step_us = epoch_microseconds(first), epoch_microseconds(last), microseconds(step)
    inside = times[np.searchsorted(times, first_us) : np.searchsorted(times, last_us, side="right")]
    edges = np.concatenate([[first_us - step_us], inside, [last_us + step_us]])
    before = np.flatnonzero(np.diff(edges) > step_us)
    holes = [Hole(instant_of(edges[n] + step_us), instant_of(edges[n + 1] - step_us), step) for n in before]
    return [Hole(hole.first, hole.first + (hole.rows - 1) * step, step) for hole in holes if hole.first <= hole.last]


def missing_inside(times: Instants, *, step: timedelta) -> list[Hole]:
    """Holes between the first and the newest of `times`."""
    if not len(times):
        return []
    return find_holes(times, first=instant_of(times[0]), last=instant_of(times[-1]), step=step)


def merged(holes: Sequence[Hole], *, nearer_than_rows: int) -> list[Hole]:
    """Holes with few rows between them as one: one request for both is cheaper than two."""
    result: list[Hole] = []
    for hole in sorted(holes):
        if result and hole.first - result[-1].last <= nearer_than_rows * hole.step:
            result[-1] = Hole(result[-1].first, hole.last, hole.step)
        else:
            result.append(hole)
    return result


class AbsentRanges:
    """Ranges of one series that no door had when it was last asked.

    Args:
        series: name of the series, for example `klines/ETHUSDT/15m`.
    """

    def __init__(self, state: HostState, series: str) -> None:
        self._state = state
        self._series = series

    def remember(self, holes: Sequence[Hole], *, now: datetime) -> None:
        """Both doors were asked for `holes` at exchange time `now` and had no usable rows."""
        if not holes:
            return
        with self._state.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO absent VALUES (?, ?, ?, ?)",
                [
                    (self._series, epoch_microseconds(h.first), epoch_microseconds(h.last), epoch_microseconds(now))
                    for h in holes
                ],
            )

    def without(self, holes: Sequence[Hole], *, now: datetime) -> list[Hole]:
        """`holes` less those asked for recently enough; a hole that grew is asked for again."""
        rows = self._state.rows("SELECT first_us, last_us, asked_us FROM absent WHERE series = ?", (self._series,))
        now_us = epoch_microseconds(now)
        known = [(first, last) for first, last, asked in rows if now_us - asked < _ask_again_after_us(last, asked)]
        return [
            hole
            for hole in holes
            if not any(a <= epoch_microseconds(hole.first) and epoch_microseconds(hole.last) <= b for a, b in known)
        ]

    def never(self, holes: Sequence[Hole]) -> list[Hole]:
        """Those of `holes` that both doors answered without when they were older than 30 days."""
        rows = self._state.rows("SELECT first_us, last_us, asked_us FROM absent WHERE series = ?", (self._series,))
        old_us = microseconds(_YOUNG)
        final = [(first, last) for first, last, asked in rows if asked - last >= old_us]
        return [
            hole
            for hole in holes
            if any(a <= epoch_microseconds(hole.first) and epoch_microseconds(hole.last) <= b for a, b in final)
        ]


def _ask_again_after_us(last_us: int, asked_us: int) -> int:
    age_us = asked_us - last_us
    return microseconds(next((rest for age, rest in _REST_BY_AGE if age_us < microseconds(age)), _OLD_REST))
