"""Looking at what each hour left behind, one hour behind the living.

Belongs here: which invariant is asked when, of which state. Does not belong: what must hold (`invariants`), driving the
hours (`hours`).

While an hour runs in the worker's process, this one waits; so it examines the hour before meanwhile, in a thread. It
sees that hour as it was: the versions of the tables, requests and faults of then. Bundles are folders named by their
content; whoever moves or damages one waits for the examiner first (`catch_up`).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from eth_pipeline.contracts.clock import HOUR, iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import SignalRecord, SignalState
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.request_log import RequestRecord
from eth_pipeline.settings import Settings
from eth_pipeline.soak import invariants
from eth_pipeline.soak.as_it_was import LakeAsItWas
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.invariants.bounds import Sample
from eth_pipeline.soak.orders import Answer
from eth_pipeline.soak.plan import Bounds
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS

_REFUSING = frozenset({"rate_limited", "banned"})
_EXAMINED = (*STREAMS.values(), SIGNALS, ACCOUNT_EVENTS)


@dataclass(frozen=True)
class Left:
    """What an hour left behind.

    Attributes:
        number: of the schedule.
        decided: the hour that could be decided.
        troubles: in force, by name.
        is_calm: long enough for everything to be well.
        kinds: faults of the exchange that were on.
        requests: what the exchange was asked.
        answers: of the hour's runs.
        versions: of the lake's tables.
        sample: what the hour used; None where every process of it died.
        seconds, says: for the diary.
    """

    number: int
    decided: datetime
    troubles: tuple[str, ...]
    is_calm: bool
    kinds: frozenset[str]
    requests: tuple[RequestRecord, ...]
    answers: tuple[Answer, ...]
    versions: dict[str, int | None]
    sample: Sample | None
    seconds: float
    says: tuple[str, ...]


class Examiner:
    """Examines hours in their order; a context manager.

    Args:
        settings: of the home.
        market: what the exchange serves, asked past HTTP.
        diary: where everything is written down.
        each: called with every hour as soon as it was examined.
    """

    def __init__(self, settings: Settings, market: Market, diary: Diary, *, each: Callable[[Lived], None]) -> None:
        self._settings, self._market, self._diary, self._each = settings, market, diary, each
        self._lake, self._then = Lake.of(settings), LakeAsItWas(settings)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="examiner")
        self._under_way: Future[None] | None = None
        self._parsed: dict[str, SignalRecord] = {}

    def __enter__(self) -> "Examiner":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def versions(self) -> dict[str, int | None]:
        """Of every table that is examined, now."""
        return {table.name: self._lake.version(table) for table in _EXAMINED}

    def examine(self, left: Left) -> None:
        """Begin with an hour, when the one before it is done."""
        self.catch_up()
        self._under_way = self._thread.submit(self._examine, left)

    def catch_up(self) -> None:
        """Wait until every hour that was handed over is examined; what went wrong there is raised here."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def conclude(self, last: Left, bounds: Bounds) -> None:
        """What must hold at the end, after a healthy hour; nothing lives any more."""
        self.catch_up()
        lake, settings, decided, blame = self._lake, self._settings, last.decided, self._diary.blame
        first = self._diary.first
        if last.answers[0].killed or not last.answers[0].succeeded:
            blame("well_again", decided, [f"the healing hour failed: {last.answers[0].says}"])
        records = invariants.read_records(lake, settings=settings, first=first, parsed=self._parsed)
        blame("one_record_per_hour", decided, invariants.one_record_per_hour(records, first=first, last=decided))
        true = invariants.lake_is_true(lake, self._market, settings=settings, since=first - HOUR, until=decided - HOUR)
        blame("lake_is_true", decided, true)
        blame("no_event_lost", decided, invariants.no_event_lost(lake, records, settings=settings, since=first))
        blame("bounded", decided, invariants.bounded(self._diary.samples, bounds=bounds))

    def _examine(self, left: Left) -> None:
        lake, first = self._then, self._diary.first
        lake.turn_to(left.versions, tables=_EXAMINED)
        records = invariants.read_records(lake, settings=self._settings, first=first, parsed=self._parsed)
        record = next((r for r in records if r.decision_time == left.decided), None)
        self._check(left, lake, record, records)
        if left.sample is not None:
            self._diary.samples.append(left.sample)
        lived = _lived(left, record)
        self._diary.hours.append(lived)
        self._each(lived)

    def _check(self, left: Left, lake: Lake, record: SignalRecord | None, records: list[SignalRecord]) -> None:
        settings, hour = self._settings, iso(left.decided)

        def blame(invariant: str, found: list[str]) -> None:
            self._diary.blame(invariant, left.decided, found)

        complete = None if record is None else left.decided
        blame(
            "one_record_per_hour",
            [*invariants.one_record_per_hour(records, first=self._diary.first, last=complete)],
        )
        if record is not None:
            may_change = "late_bar" in left.kinds
            found = invariants.tradeable_on_good_input(
                record, lake=lake, market=self._market, settings=settings, bars_may_change=may_change
            )
            blame("tradeable_on_good_input", [f"{hour}: {what}" for what in found])
        faulty = bool(_REFUSING & left.kinds)
        found = invariants.requests_within_budget(left.requests, settings=settings, faulty=faulty)
        blame("requests_within_budget", [f"{hour}: {what}" for what in found])
        blame("well_again", [f"{hour}: {what}" for what in invariants.well_again(record, is_calm=left.is_calm)])
        unseen = frozenset(r.decision_time for r in records if r.state is SignalState.BLOCKED)
        events = invariants.read_ledger(lake, settings=settings)
        blame("ledger_balances", [*invariants.ledger_balances(events, settings=settings, unseen=unseen)])


def _lived(left: Left, record: SignalRecord | None) -> Lived:
    return Lived(
        number=left.number,
        decision_time=iso(left.decided),
        troubles=left.troubles,
        state="" if record is None else str(record.state),
        action="" if record is None else str(record.action),
        reasons=() if record is None else tuple(sorted({str(reason.code) for reason in record.reasons})),
        outcome=tuple("killed" if a.killed else "done" if a.succeeded else "failed" for a in left.answers),
        requests=len(left.requests),
        weight=sum(request.weight for request in left.requests),
        seconds=left.seconds,
        says=left.says,
    )
