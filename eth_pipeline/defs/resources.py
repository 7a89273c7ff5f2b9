"""The one resource: settings, lake, the exchange's door and exchange time, opened where a step needs them.

Belongs here: wiring. Does not belong: any decision, any computation.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from eth_pipeline.contracts.clock import HOUR, SystemClock, floor_hour, iso
from eth_pipeline.contracts.wording.health import EXCHANGE_TIME
from eth_pipeline.errors import EthPipelineError, RegionRestricted
from eth_pipeline.exchange.http.state import STATE_FILE
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings, load_settings

_SHARED_SECONDS = 15.0
"""How long streams that follow each other go by one answer about the exchange's time."""


@dataclass(frozen=True)
class Moment:
    """What time it is at the exchange.

    Attributes:
        now: exchange time, or the best estimate of it.
        reachable: False where the exchange did not answer.
        detail: a sentence for people.
        archive_only: REST refuses this address; only the archive can be used.
    """

    now: datetime
    reachable: bool
    detail: str
    archive_only: bool = False

    @property
    def decision_time(self) -> datetime:
        """The newest hour that can be decided."""
        return floor_hour(self.now)


class Pipeline(dg.ConfigurableResource):
    """Gives every asset its settings, the lake, the exchange and the time."""

    _in_run: bool = PrivateAttr(default=False)
    _of_run: Settings | None = PrivateAttr(default=None)
    _door_of_run: Transport | None = PrivateAttr(default=None)
    _moment_of_streams: tuple[Moment, float] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  # Dagster passes it
        """A run reads its settings once: its steps ask some sixty times, and must not see them change in between."""
        self._in_run = True

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  # Dagster passes it
        """Close what the run's steps shared."""
        if self._door_of_run is not None:
            self._door_of_run.close()
            self._door_of_run = None

    def settings(self) -> Settings:
        """The settings of this process's environment; of one run always the same."""
        if not self._in_run:
            return load_settings()
        self._of_run = self._of_run or load_settings()
        return self._of_run

    def lake(self) -> Lake:
        """The lake that the settings name; of one process always the same, so that it opens no table twice."""
        settings = self.settings()
        return _kept_lake(settings.lake_location, tuple(settings.lake_store.options().items()))

    @contextmanager
    def transport(self) -> Iterator[Transport]:
        """The door to the exchange; closed on the way out, in a run when it ends: its steps share connections."""
        settings = self.settings()
        if self._in_run:
            self._door_of_run = self._door_of_run or Transport(settings.exchange, state_path=exchange_state(settings))
            yield self._door_of_run
            return
        with Transport(settings.exchange, state_path=exchange_state(settings)) as transport:
            yield transport

    def moment(self) -> Moment:
        """Exchange time now, or the best estimate of it with `reachable=False`."""
        with self.transport() as transport:
            return exchange_moment(transport, wait_seconds=self.settings().exchange.bar_wait_seconds)

    def moment_for_streams(self) -> Moment:
        """As `moment`, but streams that follow each other within seconds share one answer.

        For what may be stored, not for what may be decided: the exchange can have stopped since.
        """
        asked = self._moment_of_streams
        if asked is not None and time.monotonic() - asked[1] < _SHARED_SECONDS:
            return asked[0]  # as it was said: never ahead of the exchange
        moment, asked_at = self.moment(), time.monotonic()
        self._moment_of_streams = (moment, asked_at) if self._in_run and moment.reachable else None
        return moment


@lru_cache(maxsize=1)
def _kept_lake(location: str, options: tuple[tuple[str, str], ...]) -> Lake:
    return Lake(location, storage_options=dict(options))


def exchange_state(settings: Settings) -> Path:
    """Breaker, weight budget and ban state that every process of this host shares."""
    return settings.home / STATE_FILE


def exchange_moment(transport: Transport, *, wait_seconds: float = 0.0) -> Moment:
    """Ask the exchange for its time; where it does not answer, correct the local clock by what was seen last.

    A schedule fires on the local clock. Where that clock is ahead by up to `wait_seconds`, the hour is not over
    at the exchange yet; this waits for it instead of deciding the hour before once more.
    """
    try:
        now = transport.server_time()
        remaining = floor_hour(now) + HOUR - now
        if timedelta(0) < remaining <= timedelta(seconds=wait_seconds):
            time.sleep(remaining.total_seconds() + 0.2)
            now = transport.server_time()
    except RegionRestricted as error:
        return Moment(_estimated(transport), reachable=False, detail=str(error), archive_only=True)
    except EthPipelineError as error:
        return Moment(_estimated(transport), reachable=False, detail=str(error))
    return Moment(now, reachable=True, detail=EXCHANGE_TIME(time=iso(now)))


def _estimated(transport: Transport) -> datetime:
    """The local clock, corrected by how far the exchange's was ahead when it answered last.

    An embedded exchange lives at another date. Without this, one click while it is stopped would record a month of
    missed hours of today's date into its home.
    """
    seen = transport.clock_offset()
    return SystemClock().now() + (seen.offset if seen else timedelta(0))
