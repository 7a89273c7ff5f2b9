"""The processes of a soak: one that runs the hours, a spare one, and one beside them for everything else.

Belongs here: which of them carries out an order, replacing the dead. Does not belong: what they do (`worker`), what is
ordered when (`hours`, `host_troubles`, `model_troubles`).

A process needs about a second until it can take an order. So the next one is always made before it is needed, on the
core that the hours leave free, and one that leaves is not waited for.
"""

from collections.abc import Mapping

from eth_pipeline.soak.moves import Move
from eth_pipeline.soak.orders import Answer, Order
from eth_pipeline.soak.worker import Worker


class Crew:
    """Worker, spare and office; a context manager, which ends them.

    Args:
        environment: what a process needs to work on the home.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._worker = Worker(self._environment)
        self._keeps_spare = False
        self._spare: Worker | None = None
        self._office: Worker | None = None
        self._leaving: list[Worker] = []
        self.worker_hours = self.office_promotions = 0
        self.says: list[str] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        here = [self._worker, *self._leaving, *(beside for beside in (self._spare, self._office) if beside)]
        for worker in here:
            worker.dismiss()
        for worker in here:
            worker.leave()

    def run(self, order: Order) -> Answer:
        """An order for the process that runs the hours."""
        answer = self._worker.run(order)
        self.worker_hours += order.job == "hourly"
        if answer.killed:
            self.replace_worker()
        elif not answer.succeeded:
            self.says.append(answer.says)
        return answer

    def run_twice_at_once(self, order: Order) -> list[Answer]:
        """One order in two processes, as two schedulers give it."""
        other = self._next()
        other.wait_until_ready()
        self._worker.begin(order)
        other.begin(order)
        answers = [self._worker.finish(), other.finish()]
        self._let_go(other)
        if answers[0].killed:
            self.replace_worker()
        return answers

    def replace_worker(self, *, politely: bool = False) -> None:
        """Another process runs the hours from now on."""
        if politely:
            self._let_go(self._worker)
        else:
            self._worker.stop()
        self._worker = self._next()
        self.worker_hours = 0

    def keep_spare(self) -> None:
        """Have a process that can take the worker's place at any time from now on."""
        self._keeps_spare, self._spare = True, self._spare or Worker(self._environment)

    def open_office(self) -> None:
        """Make the process beside ready in time: MLflow alone takes it seconds."""
        self._office = self._office or Worker(self._environment, opens="registry")

    def aside(self, order: Order) -> Answer:
        """An order in another process, as a person's command is: MLflow and matplotlib never enter the worker."""
        self.open_office()
        assert self._office is not None
        answer = self._office.run(order)
        if answer.killed:
            self._office.stop()
            self._office, self.office_promotions = None, 0
            self.open_office()
        elif order.move is not None:
            self.office_promotions += order.move.kind == "promote"
        what = order.move.kind if order.move else order.job
        self.says.append(f"{what}: {answer.says or 'done'}")
        return answer

    def move(self, wanted: Move) -> None:
        """A promotion, or what else moves the registry."""
        self.aside(Order(move=wanted))

    def _next(self) -> Worker:
        """The spare process; another one is made meanwhile."""
        taken, self._spare = self._spare or Worker(self._environment), None
        if self._keeps_spare:
            self.keep_spare()
        return taken

    def _let_go(self, worker: Worker) -> None:
        """Let a process end by itself, and wait for those that had an hour for it."""
        for gone in self._leaving:
            gone.leave()
        worker.dismiss()
        self._leaving = [worker]
