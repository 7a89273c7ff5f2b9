"""Request limits of the embedded exchange, enforced in real time as the exchange does per address.

Belongs here: fixed windows and their counters. Does not belong: which request weighs how much (`endpoints`). Windows
run on the host's monotonic timer, not on virtual time: a limit protects a server, and a time-lapse is no excuse.
"""

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one address may ask for; None switches a limit off (a month of hours driven in minutes needs that)."""

    futures_weight_per_minute: int | None = 2400
    spot_weight_per_minute: int | None = 6000
    funding_requests_per_5_minutes: int | None = 500
    open_interest_requests_per_5_minutes: int | None = 1000

    @classmethod
    def none(cls) -> "Limits":
        """No limit at all; weights are still counted and reported."""
        return cls(None, None, None, None)


class Window:
    """One counter over fixed windows of `seconds`."""

    def __init__(self, *, limit: int | None, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self._lock = threading.Lock()
        self._number = -1
        self._used = 0

    def use(self, amount: int) -> float | None:
        """Count `amount`; return the seconds to wait where that exceeds the limit, else None."""
        with self._lock:
            self._roll()
            self._used += amount
            if self.limit is None or self._used <= self.limit:
                return None
            return (self._number + 1) * self.seconds - time.monotonic()

    @property
    def used(self) -> int:
        """Used in the current window."""
        with self._lock:
            self._roll()
            return self._used

    def restart(self) -> None:
        """Nothing is used any more."""
        with self._lock:
            self._used = 0

    def _roll(self) -> None:
        number = int(time.monotonic() // self.seconds)
        if number != self._number:
            self._number, self._used = number, 0


class Pools:
    """The named windows of one exchange."""

    def __init__(self, limits: Limits) -> None:
        self.windows = {
            "futures": Window(limit=limits.futures_weight_per_minute, seconds=60),
            "spot": Window(limit=limits.spot_weight_per_minute, seconds=60),
            "funding": Window(limit=limits.funding_requests_per_5_minutes, seconds=300),
            "open_interest": Window(limit=limits.open_interest_requests_per_5_minutes, seconds=300),
        }

    def use(self, pool: str, amount: int) -> float | None:
        """Count `amount` in `pool`; seconds to wait where its limit is exceeded, else None."""
        return self.windows[pool].use(amount)

    def used_weight(self, *, spot: bool) -> int:
        """The figure of the header X-MBX-USED-WEIGHT-1M."""
        return self.windows["spot" if spot else "futures"].used

    def restart(self) -> None:
        """Begin every window anew."""
        for window in self.windows.values():
            window.restart()
