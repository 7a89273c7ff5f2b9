"""The request budget that every process of this host shares, and the pauses the exchange ordered.

Belongs here: request weight per fixed window, 429 and 418 holds. Does not belong: sending, sleeping, counting
failures (`breaker`). Binance counts per address, so two processes that each stay below the limit can break it
together; the account is therefore kept in `state.HostState`.
"""

import logging
from dataclasses import dataclass

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.errors import Banned, RateLimited
from eth_pipeline.exchange.http.state import HostState

_LOG = logging.getLogger("eth_pipeline.exchange")


@dataclass(frozen=True)
class Allowance:
    """`limit` units (weight or requests) in every fixed window of `window_seconds`."""

    name: str
    limit: int
    window_seconds: int


class Budget:
    """Spends allowances and honours holds, per exchange host.

    Args:
        reserve_share: share of every allowance that is never used, so that other programs on this address
            and small differences in counting do not end in a 429.
    """

    def __init__(self, state: HostState, *, clock: Clock, reserve_share: float) -> None:
        self._state = state
        self._clock = clock
        self._usable_share = 1.0 - reserve_share

    def spend(self, host: str, allowance: Allowance, cost: int) -> None:
        """Take `cost` units out of the current window.

        Raises:
            RateLimited: the window has too little left; `retry_after_seconds` is the time to its end.
        """
        now = self._clock.now().timestamp()
        window_start = now // allowance.window_seconds * allowance.window_seconds
        with self._state.transaction() as db:
            used = self._used(host, allowance, window_start)
            if used and used + cost > allowance.limit * self._usable_share:
                wait_seconds = window_start + allowance.window_seconds - now
                raise RateLimited(
                    f"{host}: {used} of {allowance.limit} {allowance.name} per {allowance.window_seconds} s are used "
                    f"on this host, {cost} more do not fit beside the reserve. Wait {wait_seconds:.0f} s.",
                    retry_after_seconds=wait_seconds,
                )
            db.execute(
                "INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", (host, allowance.name, window_start, used + cost)
            )

    def observe(self, host: str, allowance: Allowance, used: int) -> None:
        """Believe the exchange where it counted more than we did (other programs share the address)."""
        now = self._clock.now().timestamp()
        window_start = now // allowance.window_seconds * allowance.window_seconds
        if used > self._used(host, allowance, window_start):
            with self._state.transaction() as db:
                db.execute(
                    "INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", (host, allowance.name, window_start, used)
                )

    def _used(self, host: str, allowance: Allowance, window_start: float) -> int:
        row = self._state.row(
            "SELECT used FROM spent WHERE host = ? AND allowance = ? AND window_start = ?",
            (host, allowance.name, window_start),
        )
        return 0 if row is None else int(row[0])

    def hold(self, host: str, *, seconds: float, is_ban: bool) -> None:
        """Send nothing to `host` for `seconds`; remembered by every process of this host."""
        until = self._clock.now().timestamp() + seconds
        with self._state.transaction() as db:
            db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?, ?)", (host, int(is_ban), until))
        _LOG.warning("%s answered %s; no request for %.0f s", host, "418 (ban)" if is_ban else "429", seconds)

    def check_hold(self, host: str) -> None:
        """Pass while nothing holds `host`.

        Raises:
            Banned: a 418 is still running.
            RateLimited: the Retry-After of a 429 has not passed.
        """
        row = self._state.row("SELECT is_ban, until FROM holds WHERE host = ?", (host,))
        left_seconds = 0.0 if row is None else float(row[1]) - self._clock.now().timestamp()
        if row is None or left_seconds <= 0:
            return
        if row[0]:
            raise Banned(
                f"{host} banned this address (418) for another {left_seconds:.0f} s. Nothing was sent; asking "
                "again would lengthen the ban. Look for other programs on this address that overspend.",
                retry_after_seconds=left_seconds,
            )
        raise RateLimited(
            f"{host} asked for a pause (429), {left_seconds:.0f} s of it are left. Nothing was sent.",
            retry_after_seconds=left_seconds,
        )
