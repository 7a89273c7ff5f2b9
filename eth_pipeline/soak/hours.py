"""Driving the hours of a soak: the clock, the troubles, the worker, and the invariants after each.

Belongs here: what happens in which order. Does not belong: what is drawn (`schedule`), how a trouble is made
(`host_faults`, `moves`, the sandbox's fault board), what must hold (`invariants`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.clock import HOUR, floor_hour, iso
from eth_pipeline.contracts.signal import SignalRecord, SignalState
from eth_pipeline.defs.resources import exchange_state
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.lake import Lake
from eth_pipeline.registry.production import pointer
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.settings import Settings
from eth_pipeline.soak import invariants
from eth_pipeline.soak.host_clock import let_pass
from eth_pipeline.soak.host_faults import read_only
from eth_pipeline.soak.moves import Move
from eth_pipeline.soak.plan import SoakPlan
from eth_pipeline.soak.schedule import Begin, Hour
from eth_pipeline.soak.worker import Answer, Order, Worker

_CALM_AFTER_HOURS = 4
_HEALING_JUMP = timedelta(hours=26)
_TOUCHES_WARM, _TOUCHES_COLD, _TOUCHES_OF_A_MOVE = 400, 2_300, 1_800
"""How often an hour touches the outside: in a process that has run one, in a new one, which imports; a promotion."""
_SMALLEST_FULL_BYTES, _DOUBLINGS = 2**14, 12
_DISK_EVERY_HOURS = 6
_MAINTAIN_EVERY_HOURS = 48
_DEAD_REGISTRY = {
    "ETH_PIPELINE_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
}
_REFUSING = frozenset({"rate_limited", "banned"})


@dataclass(frozen=True)
class Violation:
    """An invariant that did not hold."""

    invariant: str
    hour: str
    detail: str


@dataclass(frozen=True)
class Lived:
    """One hour as it went.

    Attributes:
        number: of the schedule.
        decision_time: the hour that could be decided, ISO text.
        troubles: those in force, by name.
        state, action, reasons: of the record; empty without one.
        outcome: what became of the runs, in order: `done`, `failed` or `killed`.
        requests, weight: of this hour at the exchange.
        seconds: real time of the hour, checks included.
        says: what the moves of the model and failed runs said.
    """

    number: int
    decision_time: str
    troubles: tuple[str, ...]
    state: str
    action: str
    reasons: tuple[str, ...]
    outcome: tuple[str, ...]
    requests: int
    weight: int
    seconds: float
    says: tuple[str, ...]


@dataclass
class Diary:
    """Everything that a soak found out."""

    first: datetime
    hours: list[Lived] = field(default_factory=list)
    samples: list[invariants.Sample] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def blame(self, invariant: str, hour: datetime, found: Iterable[str]) -> None:
        """Note what broke `invariant`, once per sentence."""
        known = {(violation.invariant, violation.detail) for violation in self.violations}
        for detail in found:
            if (invariant, detail) not in known:
                self.violations.append(Violation(invariant, iso(hour), detail))


class Soak:
    """One soak of one home; a context manager, which ends its processes.

    Args:
        plan: bounds and environment.
        sandbox: the running exchange, its clock 20 seconds after a full hour.
        settings: of the home, as a process with `environment` reads them.
        environment: what a process needs to work on the home.
        monotonic: seconds of real time.
    """

    def __init__(
        self,
        plan: SoakPlan,
        *,
        sandbox: Sandbox,
        settings: Settings,
        environment: Mapping[str, str],
        monotonic: Callable[[], float],
    ) -> None:
        self._plan, self._sandbox, self._settings = plan, sandbox, settings
        self._environment = {**environment, **plan.environment}
        self._monotonic = monotonic
        self._lake = Lake.of(settings)
        self._worker = Worker(self._environment)
        self._office: Worker | None = None
        self._worker_hours = 0
        self._ends: dict[int, tuple[int, Begin]] = {}
        self._until: dict[str, int] = {}
        self._due: dict[int, list[Move]] = {}
        self._says: list[str] = []
        self._last_trouble = -_CALM_AFTER_HOURS
        self.diary = Diary(floor_hour(sandbox.clock.now()) + HOUR)

    def __enter__(self) -> "Soak":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (self._worker, self._office):
            if worker is not None:
                worker.leave()

    def live(self, schedule: Sequence[Hour], *, each: Callable[[Lived], None] = lambda _: None) -> Diary:
        """All hours, then a day of silence, one more hour, and the invariants of the whole."""
        for hour in schedule:
            each(self._live_through(hour))
        self._heal(len(schedule))
        return self.diary

    def _live_through(self, hour: Hour) -> Lived:
        began = self._monotonic()
        self._says = []
        self._pass_time(HOUR)
        self._end_faults(hour.number)
        for begin in hour.begins:
            self._until[begin.name] = hour.number + begin.trouble.hours - 1
            if begin.trouble.fault is not None:
                self._switch_on(begin, hour.number)
        host = [begin for begin in hour.begins if begin.trouble.host is not None]
        model = [begin for begin in hour.begins if begin.trouble.model is not None]
        with ExitStack() as stack:
            more: dict[str, str] = {}
            for wanted in self._due.pop(hour.number, ()):
                self._move(wanted)
            for begin in model:
                more |= self._trouble_model(begin, hour.number, stack)
            answers = self._run_under(host[0] if host else None, more)
            for begin in host[1:]:
                answers += self._run_under(begin, more)
        answers += self._maintained(hour.number)
        return self._look_at(hour, answers, began)

    # --- time and faults of the exchange

    def _pass_time(self, step: timedelta) -> None:
        """Exchange and host alike: the clock goes on, what is remembered gets older, a new minute of limits begins."""
        self._sandbox.clock.advance(step)
        self._sandbox.restart_limits()
        self._sandbox.requests.clear()
        let_pass(exchange_state(self._settings), seconds=step.total_seconds())

    def _switch_on(self, begin: Begin, number: int) -> None:
        trouble, hour = begin.trouble, floor_hour(self._sandbox.clock.now())
        assert trouble.fault is not None
        arguments: dict[str, Any] = dict(trouble.fault)
        for name, minutes in (("since", trouble.since_minutes), ("until", trouble.until_minutes)):
            if minutes is not None:
                arguments[name] = hour + timedelta(minutes=minutes)
        fault = self._sandbox.faults.switch_on(**arguments)
        self._ends[fault.number] = (number + trouble.hours, begin)

    def _end_faults(self, number: int) -> None:
        for fault, (end, _) in list(self._ends.items()):
            if number >= end:
                self._sandbox.faults.clear(fault)
                del self._ends[fault]

    # --- troubles of the host

    def _run_under(self, begin: Begin | None, more: Mapping[str, str]) -> list[Answer]:
        """The hour's runs, with what happens to this host meanwhile."""
        kind = None if begin is None else begin.trouble.host
        draw = 0.0 if begin is None else begin.draw
        order = Order(environment=more)
        if kind == "powered_off":
            self._pass_time((2 + int(draw * 4)) * HOUR)
        elif kind == "host_clock_jump":
            let_pass(exchange_state(self._settings), seconds=(draw - 0.5) * 4 * HOUR.total_seconds())
        elif kind in ("kill", "kill_and_again"):
            touches = _TOUCHES_WARM if self._worker_hours else _TOUCHES_COLD
            answers = [self._run(Order(environment=more, die_at_touch=1 + int(draw * touches)))]
            self._replace_worker()
            if kind == "kill" and int(draw * 1e6) % 2:  # the daemon noticed
                self._run(Order(job="failed_hour", environment=more))
            return answers + ([self._run(order)] if kind == "kill_and_again" else [])
        elif kind == "disk_full":
            full = self._run(
                Order(environment=more, largest_file_bytes=int(_SMALLEST_FULL_BYTES * 2 ** (draw * _DOUBLINGS)))
            )
            self._replace_worker(politely=True)
            return [full, self._run(order)] if int(draw * 1e6) % 2 else [full]
        elif kind == "read_only_lake":
            with read_only(Path(self._settings.lake_location)):
                return [self._run(order)]
        elif kind == "two_schedulers":
            return self._run_twice_at_once(order)
        elif kind == "again":
            return [self._run(order), self._run(order)]
        elif kind == "exchange_clock_back":
            self._sandbox.clock.advance(-HOUR)
            answers = [self._run(order)]
            self._sandbox.clock.advance(HOUR)
            return answers
        return [self._run(order)]

    def _run(self, order: Order) -> Answer:
        answer = self._worker.run(order)
        self._worker_hours += order.job == "hourly"
        if answer.killed:
            self._replace_worker()
        elif not answer.succeeded:
            self._says.append(answer.says)
        return answer

    def _run_twice_at_once(self, order: Order) -> list[Answer]:
        other = Worker(self._environment)
        try:
            self._worker.begin(order)
            other.begin(order)
            answers = [self._worker.finish(), other.finish()]
            if answers[0].killed:
                self._replace_worker()
            return answers
        finally:
            other.leave()

    def _replace_worker(self, *, politely: bool = False) -> None:
        if politely:
            self._worker.leave()
        self._worker.stop()
        self._worker = Worker(self._environment)
        self._worker_hours = 0

    def _maintained(self, number: int) -> list[Answer]:
        """The maintenance job, in a process of its own: it draws, and the hourly path must not carry matplotlib."""
        if number % _MAINTAIN_EVERY_HOURS == _MAINTAIN_EVERY_HOURS - 1:
            self._aside(Order(job="maintenance"))
        return []

    # --- troubles of the model

    def _trouble_model(self, begin: Begin, number: int, stack: ExitStack) -> dict[str, str]:
        """Make the trouble; the variables that the hour itself runs with."""
        kind = begin.trouble.model
        if kind == "promote":
            self._move(Move("promote"))
        elif kind == "rollback":
            self._move(Move("rollback"))
        elif kind == "expire":
            self._move(Move("promote", valid_hours=1.5))
            self._due.setdefault(number + 5, []).append(Move("promote"))
            self._until[begin.name] = number + 4
        elif kind == "promotion_killed":
            self._aside(Order(move=Move("promote"), die_at_touch=1 + int(begin.draw * _TOUCHES_OF_A_MOVE)))
            self._due.setdefault(number + 1, []).append(Move("reconcile"))
        elif kind == "tamper":
            stack.enter_context(self._tampered())
        elif kind == "mlflow_down":
            self._aside(Order(move=Move("reconcile"), environment=_DEAD_REGISTRY))
            self._due.setdefault(number + 2, []).append(Move("reconcile"))
            self._until[begin.name] = number + 1
            return _DEAD_REGISTRY
        return {}

    def _move(self, wanted: Move) -> None:
        self._aside(Order(move=wanted))

    def _aside(self, order: Order) -> Answer:
        """An order in another process, as a person's command is: MLflow and matplotlib never enter the worker."""
        self._office = self._office or Worker(self._environment)
        answer = self._office.run(order)
        if answer.killed:
            self._office.stop()
            self._office = None
        what = order.move.kind if order.move else order.job
        self._says.append(f"{what}: {answer.says or 'done'}")
        return answer

    @contextmanager
    def _tampered(self) -> Iterator[None]:
        """One byte of the model in use is another; nobody signed that."""
        here = pointer(self._settings.home)
        if here is None:
            yield
            return
        model = next((self._settings.home / "production" / here.folder / "models").iterdir())
        whole = model.read_bytes()
        middle = len(whole) // 2
        model.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        try:
            yield
        finally:
            model.write_bytes(whole)

    # --- looking

    def _look_at(self, hour: Hour, answers: list[Answer], began: float) -> Lived:
        now = self._sandbox.clock.now()
        decided = floor_hour(now)
        troubles = self._in_force(hour.number)
        if troubles:
            self._last_trouble = hour.number
        records = invariants.read_records(self._lake, settings=self._settings, first=self.diary.first)
        record = next((r for r in records if r.decision_time == decided), None)
        self._check(hour.number, decided, record, records)
        requests = self._sandbox.requests.records
        self._sample(hour.number, answers)
        lived = Lived(
            number=hour.number,
            decision_time=iso(decided),
            troubles=troubles,
            state="" if record is None else str(record.state),
            action="" if record is None else str(record.action),
            reasons=() if record is None else tuple(sorted({str(reason.code) for reason in record.reasons})),
            outcome=tuple("killed" if a.killed else "done" if a.succeeded else "failed" for a in answers),
            requests=len(requests),
            weight=sum(request.weight for request in requests),
            seconds=self._monotonic() - began,
            says=tuple(self._says),
        )
        self.diary.hours.append(lived)
        return lived

    def _in_force(self, number: int) -> tuple[str, ...]:
        return tuple(sorted(name for name, last in self._until.items() if number <= last))

    def _check(self, number: int, decided: datetime, record: SignalRecord | None, records: list[SignalRecord]) -> None:
        blame, settings = self.diary.blame, self._settings
        complete = None if record is None else decided
        blame(
            "one_record_per_hour",
            decided,
            invariants.one_record_per_hour(records, first=self.diary.first, last=complete),
        )
        kinds = {fault.kind for fault in self._sandbox.faults.on()}
        if record is not None:
            found = invariants.tradeable_on_good_input(
                record,
                lake=self._lake,
                market=self._sandbox.market,
                settings=settings,
                bars_may_change="late_bar" in kinds,
            )
            blame("tradeable_on_good_input", decided, (f"{iso(decided)}: {what}" for what in found))
        faulty = bool(_REFUSING & kinds)
        requests = self._sandbox.requests.records
        blame(
            "requests_within_budget",
            decided,
            (
                f"{iso(decided)}: {what}"
                for what in invariants.requests_within_budget(requests, settings=settings, faulty=faulty)
            ),
        )
        is_calm = number - self._last_trouble >= _CALM_AFTER_HOURS
        blame(
            "well_again",
            decided,
            (f"{iso(decided)}: {what}" for what in invariants.well_again(record, is_calm=is_calm)),
        )
        unseen = frozenset(r.decision_time for r in records if r.state is SignalState.BLOCKED)
        events = invariants.read_ledger(self._lake, settings=settings)
        blame(
            "ledger_balances",
            decided,
            invariants.ledger_balances(events, settings=settings, unseen=unseen),
        )

    def _sample(self, number: int, answers: list[Answer]) -> None:
        lived = [answer for answer in answers if not answer.killed]
        if not lived:
            return
        is_due = number % _DISK_EVERY_HOURS == 0
        self.diary.samples.append(
            invariants.Sample(
                number=number,
                worker_hours=self._worker_hours,
                memory_megabytes=lived[0].memory_megabytes,
                open_files=lived[0].open_files,
                disk_megabytes=_megabytes(self._settings.home) if is_due else None,
            )
        )

    def _heal(self, number: int) -> None:
        """A day of silence, then one hour of a healthy exchange; what is still wrong after it stays wrong."""
        began = self._monotonic()
        self._says = []
        self._sandbox.faults.clear()
        self._ends.clear()
        self._until.clear()
        self._pass_time(_HEALING_JUMP)
        answers = [self._run(Order())]
        self._look_at(Hour(number, (), is_stormy=False), answers, began)
        now, settings, blame = self._sandbox.clock.now(), self._settings, self.diary.blame
        decided = floor_hour(now)
        if answers[0].killed or not answers[0].succeeded:
            blame("well_again", decided, [f"the healing hour failed: {answers[0].says}"])
        records = invariants.read_records(self._lake, settings=settings, first=self.diary.first)
        blame(
            "one_record_per_hour",
            decided,
            invariants.one_record_per_hour(records, first=self.diary.first, last=decided),
        )
        blame(
            "lake_is_true",
            decided,
            invariants.lake_is_true(
                self._lake,
                self._sandbox.market,
                settings=settings,
                since=self.diary.first - HOUR,
                until=decided - HOUR,
            ),
        )
        blame(
            "no_event_lost",
            decided,
            invariants.no_event_lost(self._lake, records, settings=settings, since=self.diary.first),
        )
        blame("bounded", decided, invariants.bounded(self.diary.samples, bounds=self._plan.bounds))


def require_promoted(settings: Settings) -> None:
    """Refuse a home without a model: no hour of it could be tradeable, so the soak would prove little.

    Raises:
        NeedsHuman: no bundle is in use.
    """
    if pointer(settings.home) is None:
        raise NeedsHuman(f"{settings.home} has no promoted model. Name a home whose demo ended in a promotion.")


def _megabytes(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # a temporary file that is gone by now
            continue
    return total / 1e6
