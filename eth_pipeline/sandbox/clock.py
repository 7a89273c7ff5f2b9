"""The virtual clock: what time it is at the embedded exchange.

Belongs here: setting, advancing and running virtual time. Does not belong: real time for rate limits
(`limits`), what is visible at an instant (`view`). The clock never reads the wall clock: a running one counts
from its starting instant with the host's monotonic timer.
"""

import threading
import time
from datetime import datetime, timedelta

from eth_pipeline.contracts.clock import require_utc


class VirtualClock:
    """A settable clock; `speed` virtual seconds pass per real second (0 stands still, 1 is real time)."""

    def __init__(self, start: datetime, *, speed: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._anchor = require_utc(start)
        self._anchor_seconds = time.monotonic()
        self._speed = _checked(speed)

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    def now(self) -> datetime:
        """Virtual time, UTC."""
        with self._lock:
            return self._read()

    def set(self, instant: datetime) -> datetime:
        """Jump to `instant`, forwards or backwards, and return it."""
        with self._lock:
            return self._move(require_utc(instant))

    def advance(self, step: timedelta) -> datetime:
        """Move by `step` and return the new time."""
        with self._lock:
            return self._move(self._read() + step)

    def set_speed(self, speed: float) -> None:
        """Run at `speed` from now on."""
        with self._lock:
            self._move(self._read())
            self._speed = _checked(speed)

    def _read(self) -> datetime:
        return self._anchor + timedelta(seconds=self._speed * (time.monotonic() - self._anchor_seconds))

    def _move(self, instant: datetime) -> datetime:
        self._anchor, self._anchor_seconds = instant, time.monotonic()
        return instant


def _checked(speed: float) -> float:
    if speed < 0:
        raise ValueError(f"clock speed {speed} would run backwards. Use 0 to stand still or a positive number.")
    return speed
