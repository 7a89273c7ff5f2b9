"""Driving the hours of a soak: the clock, the troubles, the runs, and the examiner one hour behind.

Belongs here: what happens in which order. Does not belong: what is drawn (`schedule`), how a trouble is made
(`outside`, `host_troubles`, `model_troubles`), who runs (`crew`), what must hold (`examination`, `invariants`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.registry.promotions.production import pointer
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.settings import Settings
from eth_pipeline.soak.crew import Crew
from eth_pipeline.soak.diary import Diary, Lived
from eth_pipeline.soak.examination import Examiner, Left
from eth_pipeline.soak.host_troubles import WEARS_PROCESSES, HostTroubles
from eth_pipeline.soak.invariants.bounds import Sample
from eth_pipeline.soak.model_troubles import ModelTroubles
from eth_pipeline.soak.orders import Answer, Order
from eth_pipeline.soak.outside import Outside
from eth_pipeline.soak.plan import SoakPlan
from eth_pipeline.soak.schedule import Begin, Hour, InForce

_HEALING_JUMP = timedelta(hours=26)
_DISK_EVERY_HOURS = 6
_MAINTAIN_EVERY_HOURS = 24


class Soak:
    """One soak of one home; a context manager, which ends its processes.

    Args:
        plan: bounds and environment.
        sandbox: the running exchange, its clock 20 seconds after a full hour.
        settings: of the home, as a process with `environment` reads them.
        environment: what a process needs to work on the home.
        monotonic: seconds of real time.
        each: called with every hour as soon as it was examined, from another thread.
    """

    def __init__(
        self,
        plan: SoakPlan,
        *,
        sandbox: Sandbox,
        settings: Settings,
        environment: Mapping[str, str],
        monotonic: Callable[[], float],
        each: Callable[[Lived], None] = lambda _: None,
    ) -> None:
        self._plan, self._settings, self._monotonic = plan, settings, monotonic
        self._outside = Outside(sandbox, settings)
        self._in_force = InForce()
        self._crew = Crew({**environment, **plan.environment})
        self._host = HostTroubles(self._crew, self._outside, settings)
        self._model = ModelTroubles(self._crew, self._in_force, settings)
        self.diary = Diary(floor_hour(sandbox.clock.now()) + HOUR)
        self._examiner = Examiner(settings, sandbox.market, self.diary, each=each)
        self._handed_over = monotonic()

    def __enter__(self) -> "Soak":
        return self

    def __exit__(self, *_: object) -> None:
        with self._crew, self._examiner:
            pass

    def live(self, schedule: Sequence[Hour]) -> Diary:
        """All hours, then a day of silence, one more hour, and the invariants of the whole."""
        self._handed_over = self._monotonic()
        self._staff_for(schedule)
        for hour in schedule:
            self._examiner.examine(self._live_through(hour))
        last = self._heal(len(schedule))
        self._examiner.examine(last)
        self._examiner.conclude(last, self._plan.bounds)
        return self.diary

    def _staff_for(self, schedule: Sequence[Hour]) -> None:
        """Have the processes ready that these hours will need."""
        if any(begin.trouble.host in WEARS_PROCESSES for hour in schedule for begin in hour.begins):
            self._crew.keep_spare()
        if len(schedule) >= _MAINTAIN_EVERY_HOURS or any(_moves(hour) for hour in schedule):
            self._crew.open_office()

    def _live_through(self, hour: Hour) -> Left:
        number = hour.number
        self._crew.says.clear()
        self._outside.pass_time(HOUR)
        self._outside.end_faults(number=number)
        for begin in hour.begins:
            self._in_force.extend(begin.name, last=number + begin.trouble.hours - 1)
            if begin.trouble.fault is not None:
                self._outside.switch_on(begin, number=number)
        host = [begin for begin in hour.begins if begin.trouble.host is not None]
        model = _moves(hour)
        if self._model.has_work(number, model):
            self._examiner.catch_up()
        with ExitStack() as until_it_is_over:
            environment: dict[str, str] = {}
            self._model.follow_up(number)
            for begin in model:
                environment |= self._model.make(begin, number=number, hour=until_it_is_over)
            answers = self._host.run_under(host[0] if host else None, environment)
            for begin in host[1:]:
                answers += self._host.run_under(begin, environment)
        left = self._left(number, answers)
        self._maintain(number)
        return left

    def _maintain(self, number: int) -> None:
        """The maintenance job, in a process of its own: it draws, and the hourly path must not carry matplotlib."""
        if number % _MAINTAIN_EVERY_HOURS == _MAINTAIN_EVERY_HOURS - 1:
            self._examiner.catch_up()
            self._crew.aside(Order(job="maintenance"))

    def _heal(self, number: int) -> Left:
        """A day of silence, then one hour of a healthy exchange; what is still wrong after it stays wrong."""
        self._crew.says.clear()
        self._outside.clear()
        self._in_force.clear()
        self._outside.pass_time(_HEALING_JUMP)
        return self._left(number, [self._crew.run(Order())])

    def _left(self, number: int, answers: list[Answer]) -> Left:
        """What the hour left behind, as it is now."""
        sandbox = self._outside.sandbox
        began, self._handed_over = self._handed_over, self._monotonic()
        return Left(
            number=number,
            decided=floor_hour(sandbox.clock.now()),
            troubles=self._in_force.names(number),
            is_calm=self._in_force.is_calm(number),
            kinds=self._outside.kinds(),
            requests=sandbox.requests.records,
            answers=tuple(answers),
            versions=self._examiner.versions(),
            sample=self._sample(number, answers),
            seconds=self._handed_over - began,
            says=tuple(self._crew.says),
        )

    def _sample(self, number: int, answers: list[Answer]) -> Sample | None:
        lived = [answer for answer in answers if not answer.killed]
        if not lived:
            return None
        is_due = number % _DISK_EVERY_HOURS == 0
        return Sample(
            number=number,
            worker_hours=self._crew.worker_hours,
            memory_megabytes=lived[0].memory_megabytes,
            open_files=lived[0].open_files,
            disk_megabytes=_megabytes(self._settings.home) if is_due else None,
        )


def require_promoted(settings: Settings) -> None:
    """Refuse a home without a model: no hour of it could be tradeable, so the soak would prove little.

    Raises:
        NeedsHuman: no bundle is in use.
    """
    if pointer(settings.home) is None:
        raise NeedsHuman(f"{settings.home} has no promoted model. Name a home whose demo ended in a promotion.")


def _moves(hour: Hour) -> list[Begin]:
    """Troubles of the model that begin in this hour."""
    return [begin for begin in hour.begins if begin.trouble.model is not None]


def _megabytes(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # a temporary file that is gone by now
            continue
    return total / 1e6
