"""The processes of a soak: one that runs the hours, one beside it for everything else.

Belongs here: which of them carries out an order, replacing the dead. Does not belong: what they do (`worker`), what is
ordered when (`hours`, `host_troubles`, `model_troubles`).
"""

from collections.abc import Mapping

from eth_pipeline.soak.moves import Move
from eth_pipeline.soak.worker import Answer, Order, Worker


class Crew:
    """Worker and office; a context manager, which ends them.

    Args:
        environment: what a process needs to work on the home.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._worker = Worker(self._environment)
        self._office: Worker | None = None
        self.worker_hours = 0
        self.says: list[str] = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (self._worker, self._office):
            if worker is not None:
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
        other = Worker(self._environment)
        try:
            self._worker.begin(order)
            other.begin(order)
            answers = [self._worker.finish(), other.finish()]
            if answers[0].killed:
                self.replace_worker()
            return answers
        finally:
            other.leave()

    def replace_worker(self, *, politely: bool = False) -> None:
        """Another process runs the hours from now on."""
        if politely:
            self._worker.leave()
        self._worker.stop()
        self._worker = Worker(self._environment)
        self.worker_hours = 0

    def aside(self, order: Order) -> Answer:
        """An order in another process, as a person's command is: MLflow and matplotlib never enter the worker."""
        self._office = self._office or Worker(self._environment)
        answer = self._office.run(order)
        if answer.killed:
            self._office.stop()
            self._office = None
        what = order.move.kind if order.move else order.job
        self.says.append(f"{what}: {answer.says or 'done'}")
        return answer

    def move(self, wanted: Move) -> None:
        """A promotion, or what else moves the registry."""
        self.aside(Order(move=wanted))
