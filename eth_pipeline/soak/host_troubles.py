"""What happens to this host while an hour is decided.

Belongs here: which runs there are under which trouble. Does not belong: how a fault is made real (`host_faults`), who
carries a run out (`crew`).
"""

from collections.abc import Mapping
from pathlib import Path

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.settings import Settings
from eth_pipeline.soak.crew import Crew
from eth_pipeline.soak.host_faults import read_only
from eth_pipeline.soak.orders import Answer, Order
from eth_pipeline.soak.outside import Outside
from eth_pipeline.soak.plan import HostTrouble
from eth_pipeline.soak.schedule import Begin

_TOUCHES_WARM, _TOUCHES_COLD = 160, 285
"""How often an hour touches the outside: in a process that has run one, in a new one, which imports (2026-11-23)."""
WEARS_PROCESSES: frozenset[HostTrouble] = frozenset({"kill", "kill_and_again", "disk_full", "two_schedulers"})
"""Troubles for which another process must take a worker's place, or stand beside it."""
_SMALLEST_FULL_BYTES, _DOUBLINGS = 2**14, 12


class HostTroubles:
    """The runs of an hour, whatever the host does meanwhile."""

    def __init__(self, crew: Crew, outside: Outside, settings: Settings) -> None:
        self._crew, self._outside = crew, outside
        self._lake = Path(settings.lake_location)

    def run_under(self, begin: Begin | None, environment: Mapping[str, str]) -> list[Answer]:
        """The answers of the hour's runs, in order.

        Args:
            begin: the trouble; None on a healthy host.
            environment: variables of these runs alone.
        """
        kind = None if begin is None else begin.trouble.host
        draw = 0.0 if begin is None else begin.draw
        order = Order(environment=environment)
        if kind == "powered_off":
            self._outside.pass_time((2 + int(draw * 4)) * HOUR)
        elif kind == "host_clock_jump":
            self._outside.set_host_clock_off(seconds=(draw - 0.5) * 4 * HOUR.total_seconds())
        elif kind in ("kill", "kill_and_again"):
            return self._killed(order, draw=draw, is_repeated=kind == "kill_and_again")
        elif kind == "disk_full":
            return self._on_a_full_disk(order, draw=draw)
        elif kind == "read_only_lake":
            with read_only(self._lake):
                return [self._crew.run(order)]
        elif kind == "two_schedulers":
            return self._crew.run_twice_at_once(order)
        elif kind == "again":
            return [self._crew.run(order), self._crew.run(order)]
        elif kind == "exchange_clock_back":
            self._outside.set_back()
            answers = [self._crew.run(order)]
            self._outside.set_right()
            return answers
        return [self._crew.run(order)]

    def _killed(self, order: Order, *, draw: float, is_repeated: bool) -> list[Answer]:
        """A run that dies; in half of the hours the daemon notices, or somebody starts it again."""
        touches = _TOUCHES_WARM if self._crew.worker_hours else _TOUCHES_COLD
        answers = [self._crew.run(Order(environment=order.environment, die_at_touch=1 + int(draw * touches)))]
        if not answers[0].killed:
            self._crew.replace_worker()
        if not is_repeated and int(draw * 1e6) % 2:
            self._crew.run(Order(job="failed_hour", environment=order.environment))
        return answers + ([self._crew.run(order)] if is_repeated else [])

    def _on_a_full_disk(self, order: Order, *, draw: float) -> list[Answer]:
        """A run that cannot write; in half of the hours somebody makes room and starts it again."""
        largest = int(_SMALLEST_FULL_BYTES * 2 ** (draw * _DOUBLINGS))
        full = self._crew.run(Order(environment=order.environment, largest_file_bytes=largest))
        self._crew.replace_worker(politely=True)
        return [full, self._crew.run(order)] if int(draw * 1e6) % 2 else [full]
