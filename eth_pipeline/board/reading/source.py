"""Everything the board shows, read anew at every request from the lake and the files of one home.

Belongs here: the questions, each answered or raising `PartUnreadable`. Does not belong: HTTP, pages, writing: nothing
here creates, changes or locks a file.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.board.reading.account import Account, AccountReader
from eth_pipeline.board.reading.alerts import Alerts, read_alerts
from eth_pipeline.board.reading.model_card import ModelCard, read_model_card
from eth_pipeline.board.reading.parts import reading
from eth_pipeline.board.reading.standing import Standing, stand
from eth_pipeline.contracts.clock import HOUR, Clock, floor_hour
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, StreamFreshness
from eth_pipeline.lake import Lake
from eth_pipeline.operations.lineage import LineageStep, lineage
from eth_pipeline.operations.processes import ProcessStatus, process_statuses
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.signals.gating import kill_switch
from eth_pipeline.signals.gating.freshness import measure_freshness

_TOLD_MESSAGES = 20
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class RecordedSpan:
    """Records of a span, newest first, and the full hours of it that have none.

    Attributes:
        truncated: older records of the span were left out; holes are given for the part that is there.
    """

    records: tuple[SignalRecord, ...]
    holes: tuple[datetime, ...]
    truncated: bool


class BoardSource:
    """Answers for one symbol and phase.

    Args:
        settings: of the home.
        clock: exchange time.
    """

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._lake = Lake.of(settings)
        self._log = SignalLog(self._lake, folder=settings.home / "logs")
        self._account = AccountReader(self._lake, settings=settings)

    def standing(self, *, now: datetime) -> Standing:
        """The newest record and what it is worth at `now`."""
        grace = timedelta(minutes=self.settings.board.overdue_after_minutes)
        with reading("The signal log"):
            tail = self._log.tail(1, symbol=self.settings.symbol, phase=self.settings.phase)
        return stand(tail[0] if tail else None, now=now, grace=grace)

    def record(self, hour: datetime) -> SignalRecord | None:
        """The record of one hour."""
        with reading("The signal log"):
            return self._log.get(hour, symbol=self.settings.symbol, phase=self.settings.phase)

    def span(self, first: datetime, last: datetime, *, limit: int, now: datetime) -> RecordedSpan:
        """The newest `limit` records of the hours from `first` to `last`, both included.

        Args:
            now: hours that are not due yet are no holes; nor are those before the first record of all.
        """
        symbol, phase = self.settings.symbol, self.settings.phase
        owner = (pl.col("symbol") == symbol) & (pl.col("phase") == phase)
        with reading("The signal log"):
            times = self._lake.read(SIGNALS, where=owner, columns=["decision_time"])["decision_time"]
            recorded: list[datetime] = times.sort(descending=True).to_list()
            if not recorded:
                return RecordedSpan((), (), truncated=False)
            inside = [hour for hour in recorded if first <= hour <= last]
            truncated = len(inside) > limit
            begin = inside[limit - 1] if truncated else max(first, recorded[-1])
            records: tuple[SignalRecord, ...] = ()
            if inside:
                records = self._log.between(begin, inside[0] + _INSTANT, symbol=symbol, phase=phase)
        due = floor_hour(now - timedelta(minutes=self.settings.board.overdue_after_minutes))
        holes = _holes(begin, min(last, due), present=set(inside))
        return RecordedSpan(tuple(reversed(records)), holes[:limit], truncated=truncated)

    def streams(self, *, now: datetime) -> tuple[StreamFreshness, ...]:
        """Lag of every stream at `now`."""
        with reading("The streams"):
            return measure_freshness(self._lake, settings=self.settings, now=now)

    def lineage(self, record: SignalRecord) -> tuple[LineageStep, ...]:
        """What is behind a record."""
        with reading("The lineage"):
            return lineage(record, lake=self._lake, settings=self.settings)

    def account(self) -> Account | None:
        """The paper account; None before its first event."""
        with reading("The paper account"):
            return self._account.read()

    def model(self) -> ModelCard:
        """The model in use."""
        with reading("The model card"):
            return read_model_card(self.settings.home)

    def alerts(self) -> Alerts:
        """What is wrong now, and what was told."""
        with reading("The alerts"):
            return read_alerts(self.settings.home, newest=_TOLD_MESSAGES)

    def manifest(self) -> dict[str, object] | None:
        """What the newest run wrote about itself; None where none has run."""
        with reading("The runtime manifest"):
            try:
                found = json.loads((self.settings.home / "runtime_manifest.json").read_bytes())
            except FileNotFoundError:
                return None
            if not isinstance(found, dict):
                raise ValueError("it is no JSON object")
            return found

    def processes(self) -> tuple[ProcessStatus, ...]:
        """Every process that was started here, and what has changed since it started."""
        with reading("The notes of processes"):
            return process_statuses(self.settings)

    def kill_switch(self) -> str | None:
        """Why an operator stopped trading; None while it is off."""
        with reading("The kill switch"):
            return kill_switch.why(self.settings.home)


def _holes(first: datetime, last: datetime, *, present: set[datetime]) -> tuple[datetime, ...]:
    """Full hours from `first` to `last`, newest first, that are not in `present`."""
    newest = floor_hour(last)
    count = int((newest - first) / HOUR) + 1 if newest >= first else 0
    return tuple(hour for n in range(count) if (hour := newest - n * HOUR) not in present)
