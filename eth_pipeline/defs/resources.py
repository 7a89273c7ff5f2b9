"""The one resource: settings, lake, the exchange's door and exchange time, opened where a step needs them.

Belongs here: wiring. Does not belong: any decision, any computation.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from eth_pipeline.contracts.clock import HOUR, SystemClock, floor_hour, iso
from eth_pipeline.errors import EthPipelineError
from eth_pipeline.exchange.transport import Transport
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings, load_settings


@dataclass(frozen=True)
class Moment:
    """What time it is at the exchange; `reachable` is False where it did not answer and the time is an estimate."""

    now: datetime
    reachable: bool
    detail: str

    @property
    def decision_time(self) -> datetime:
        """The newest hour that can be decided."""
        return floor_hour(self.now)


class Pipeline(dg.ConfigurableResource):
    """Gives every asset its settings, the lake, the exchange and the time."""

    def settings(self) -> Settings:
        """The settings of this process's environment."""
        return load_settings()

    def lake(self) -> Lake:
        """The lake that the settings name."""
        return Lake(self.settings().lake_location)

    @contextmanager
    def transport(self) -> Iterator[Transport]:
        """The door to the exchange; closed on the way out."""
        settings = self.settings()
        with Transport(settings.exchange, state_path=exchange_state(settings)) as transport:
            yield transport

    def moment(self) -> Moment:
        """Exchange time now, or the best estimate of it with `reachable=False`."""
        with self.transport() as transport:
            return exchange_moment(transport, wait_seconds=self.settings().exchange.bar_wait_seconds)


def exchange_state(settings: Settings) -> Path:
    """Breaker, weight budget and ban state that every process of this host shares."""
    return settings.home / "exchange_state.sqlite"


def exchange_moment(transport: Transport, *, wait_seconds: float = 0.0) -> Moment:
    """Ask the exchange for its time; where it does not answer, correct the local clock by what was seen last.

    A schedule fires on the local clock. Where that clock is ahead by up to `wait_seconds`, the hour is not over
    at the exchange yet; this waits for it instead of deciding the hour before once more.
    """
    try:
        now = _answered(transport)
        remaining = floor_hour(now) + HOUR - now
        if timedelta(0) < remaining <= timedelta(seconds=wait_seconds):
            time.sleep(remaining.total_seconds() + 0.2)
            now = _answered(transport)
    except EthPipelineError as error:
        return Moment(SystemClock().now() + _ahead(transport), False, str(error))
    return Moment(now, True, f"exchange time {iso(now)}")


def _answered(transport: Transport) -> datetime:
    """Exchange time; how far it is ahead of the local clock is remembered for when it does not answer."""
    now = transport.server_time()
    ahead_seconds = (now - SystemClock().now()).total_seconds()
    with transport.state.transaction() as db:
        db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (ahead_seconds,))
    return now


def _ahead(transport: Transport) -> timedelta:
    """How far the exchange's clock was ahead of ours when it answered last.

    An embedded exchange lives at another date. Without this, one click while it is stopped would record a month of
    missed hours of today's date into its home.
    """
    found = transport.state.row("SELECT ahead_seconds FROM clock WHERE only_row = 1", ())
    return timedelta(seconds=found[0] if found else 0.0)
