"""What happens to the model in production while the hours go on.

Belongs here: moves and damages of a soak, and what must follow them hours later. Does not belong: how a move is made
(`moves`), who carries it out (`crew`).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from eth_pipeline.registry.promotions.production import pointer
from eth_pipeline.settings import Settings
from eth_pipeline.soak.crew import Crew
from eth_pipeline.soak.moves import Move
from eth_pipeline.soak.orders import Order
from eth_pipeline.soak.schedule import Begin, InForce

_TOUCHES_WARM, _TOUCHES_COLD = 315, 1_030
"""How often a promotion touches the outside: in a process that made one, in a new one, which imports (2026-11-23)."""
_DEAD_REGISTRY = {
    "ETH_PIPELINE_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
}


class ModelTroubles:
    """Promotions, rollbacks, expiry, tampering and a registry that is gone."""

    def __init__(self, crew: Crew, in_force: InForce, settings: Settings) -> None:
        self._crew, self._in_force, self._settings = crew, in_force, settings
        self._due: dict[int, list[Move]] = {}

    def has_work(self, number: int, begins: list[Begin]) -> bool:
        """Whether the model is touched in hour `number`."""
        return bool(begins or self._due.get(number))

    def follow_up(self, number: int) -> None:
        """What earlier troubles left to do in hour `number`."""
        for wanted in self._due.pop(number, ()):
            self._crew.move(wanted)

    def make(self, begin: Begin, *, number: int, hour: ExitStack) -> dict[str, str]:
        """Make the trouble; the variables that the hour itself runs with.

        Args:
            hour: closed when the hour is over; a damage is undone then.
        """
        kind = begin.trouble.model
        if kind == "promote":
            self._crew.move(Move("promote"))
        elif kind == "rollback":
            self._crew.move(Move("rollback"))
        elif kind == "expire":
            self._crew.move(Move("promote", valid_hours=1.5))
            self._due.setdefault(number + 5, []).append(Move("promote"))
            self._in_force.extend(begin.name, last=number + 4)
        elif kind == "promotion_killed":
            touches = _TOUCHES_WARM if self._crew.office_promotions else _TOUCHES_COLD
            self._crew.aside(Order(move=Move("promote"), die_at_touch=1 + int(begin.draw * touches)))
            self._due.setdefault(number + 1, []).append(Move("reconcile"))
        elif kind == "tamper":
            hour.enter_context(self._tampered())
        elif kind == "mlflow_down":
            self._crew.aside(Order(move=Move("reconcile"), environment=_DEAD_REGISTRY))
            self._due.setdefault(number + 2, []).append(Move("reconcile"))
            self._in_force.extend(begin.name, last=number + 1)
            return _DEAD_REGISTRY
        return {}

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
