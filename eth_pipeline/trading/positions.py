"""Which position was held when: what funding is charged on.

Belongs here: the history of one account's position. Does not belong: what changed it (`book`).
"""

import bisect
from collections.abc import Iterable
from datetime import datetime


class Positions:
    """Position after each change, in the order of time.

    Args:
        changes: (instant of the change, signed ETH held from then on), ascending.
    """

    def __init__(self, changes: Iterable[tuple[datetime, float]] = ()) -> None:
        known = list(changes)
        self._times = [time for time, _ in known]
        self._held_eth = [held for _, held in known]

    def add(self, time: datetime, held_eth: float) -> None:
        """From `time` on `held_eth` are held."""
        self._times.append(time)
        self._held_eth.append(held_eth)

    def before(self, instant: datetime) -> float:
        """Signed ETH held just before `instant`; a change at the instant itself does not count yet."""
        index = bisect.bisect_left(self._times, instant) - 1
        return self._held_eth[index] if index >= 0 else 0.0

    def as_tuple(self) -> tuple[tuple[datetime, float], ...]:
        """All changes, ascending."""
        return tuple(zip(self._times, self._held_eth, strict=True))
