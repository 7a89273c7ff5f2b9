"""A circuit breaker per endpoint that survives restarts and is shared by every process of this host.

Belongs here: counting consecutive failures, opening, the one half-open probe. Does not belong: deciding what a
failure is (`transport`), waiting. One log line per change of state, none per refused request: an exchange that
is down for a night must not fill the log.
"""

import logging
import sqlite3
from typing import Literal

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.errors import CircuitOpen
from eth_pipeline.exchange.http.state import HostState

_LOG = logging.getLogger("eth_pipeline.exchange")
_PROBE_LEASE_SECONDS = 120.0  # a process that dies during its probe must not keep the breaker half open forever

BreakerState = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed: requests pass. Open: none until the cooldown ends. Half open: one probe decides.

    Args:
        failures_to_open: consecutive failed requests that open the breaker of an endpoint.
        cooldown_seconds: how long it stays open before one probe may pass.
    """

    def __init__(self, state: HostState, *, clock: Clock, failures_to_open: int, cooldown_seconds: float) -> None:
        self._state = state
        self._clock = clock
        self._failures_to_open = failures_to_open
        self._cooldown_seconds = cooldown_seconds

    def admit(self, endpoint: str) -> None:
        """Pass, or pass as the one probe.

        Raises:
            CircuitOpen: nothing may be sent; `retry_after_seconds` says when the next probe may.
        """
        if self._read(endpoint)[0] == "closed":
            return
        now = self._clock.now().timestamp()
        with self._state.transaction() as db:
            state, failures, changed_at, reason = self._read(endpoint)
            if state == "closed":
                return
            patience = self._cooldown_seconds if state == "open" else _PROBE_LEASE_SECONDS
            if (left_seconds := changed_at + patience - now) > 0:
                raise CircuitOpen(
                    f"The breaker of {endpoint} is {state.replace('_', ' ')} for another {left_seconds:.0f} s after "
                    f"{failures} failures ({reason}). Nothing was sent; it closes by itself when a probe succeeds.",
                    retry_after_seconds=left_seconds,
                )
            self._write(db, endpoint, "half_open", failures, now, reason)
        _LOG.info("breaker of %s: %s -> half_open, one probe", endpoint, state)

    def succeeded(self, endpoint: str) -> None:
        """The endpoint answered: forget its failures, close its breaker."""
        state, failures, _, _ = self._read(endpoint)
        if state == "closed" and not failures:
            return
        with self._state.transaction() as db:
            self._write(db, endpoint, "closed", 0, self._clock.now().timestamp(), "")
        if state != "closed":
            _LOG.info("breaker of %s: %s -> closed", endpoint, state)

    def failed(self, endpoint: str, reason: str) -> None:
        """Count one failed request; open at the limit, or at once when it was the probe."""
        now = self._clock.now().timestamp()
        with self._state.transaction() as db:
            state, failures, changed_at, _ = self._read(endpoint)
            opens = state == "half_open" or (state == "closed" and failures + 1 >= self._failures_to_open)
            after: BreakerState = "open" if opens else state
            self._write(db, endpoint, after, failures + 1, now if opens else changed_at, reason)
        if opens:
            _LOG.warning("breaker of %s: %s -> open for %.0f s: %s", endpoint, state, self._cooldown_seconds, reason)

    def states(self) -> dict[str, BreakerState]:
        """State of every endpoint that ever failed, for the gate and the health check."""
        return dict(self._state.rows("SELECT endpoint, state FROM breakers"))

    def _read(self, endpoint: str) -> tuple[BreakerState, int, float, str]:
        row = self._state.row(
            "SELECT state, failures, changed_at, reason FROM breakers WHERE endpoint = ?", (endpoint,)
        )
        return ("closed", 0, 0.0, "") if row is None else (row[0], int(row[1]), float(row[2]), str(row[3]))

    @staticmethod
    def _write(
        db: sqlite3.Connection, endpoint: str, state: BreakerState, failures: int, changed_at: float, reason: str
    ) -> None:
        db.execute(
            "INSERT OR REPLACE INTO breakers VALUES (?, ?, ?, ?, ?)", (endpoint, state, failures, changed_at, reason)
        )
