"""The exchange as a soak moves it: its clock, its faults, and how long ago this host seems to have asked it.

Belongs here: passing time, switching faults on and off. Does not belong: which fault comes when (`schedule`), what a
fault does (the sandbox's fault board).
"""

from datetime import timedelta
from typing import Any

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.defs.resources import exchange_state
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.settings import Settings
from eth_pipeline.soak.host_clock import let_pass
from eth_pipeline.soak.schedule import Begin


class Outside:
    """The embedded exchange during a soak.

    Args:
        sandbox: running, its clock 20 seconds after a full hour.
        settings: of the home that asks it.
    """

    def __init__(self, sandbox: Sandbox, settings: Settings) -> None:
        self.sandbox = sandbox
        self._state = exchange_state(settings)
        self._ends: dict[int, int] = {}

    def pass_time(self, step: timedelta) -> None:
        """Exchange and host alike: the clock goes on, what is remembered gets older, a new minute of limits begins."""
        self.sandbox.clock.advance(step)
        self.sandbox.restart_limits()
        self.sandbox.requests.clear()
        let_pass(self._state, seconds=step.total_seconds())

    def set_host_clock_off(self, *, seconds: float) -> None:
        """This host's clock alone jumps."""
        let_pass(self._state, seconds=seconds)

    def switch_on(self, begin: Begin, *, number: int) -> None:
        """Begin a fault in hour `number`; it ends by itself after the trouble's hours."""
        trouble, hour = begin.trouble, floor_hour(self.sandbox.clock.now())
        assert trouble.fault is not None
        arguments: dict[str, Any] = dict(trouble.fault)
        for name, minutes in (("since", trouble.since_minutes), ("until", trouble.until_minutes)):
            if minutes is not None:
                arguments[name] = hour + timedelta(minutes=minutes)
        fault = self.sandbox.faults.switch_on(**arguments)
        self._ends[fault.number] = number + trouble.hours

    def end_faults(self, *, number: int) -> None:
        """Clear the faults that are over in hour `number`."""
        for fault, end in list(self._ends.items()):
            if number >= end:
                self.sandbox.faults.clear(fault)
                del self._ends[fault]

    def clear(self) -> None:
        """No fault any more."""
        self.sandbox.faults.clear()
        self._ends.clear()

    def kinds(self) -> frozenset[str]:
        """Kinds of the faults that are on."""
        return frozenset(fault.kind for fault in self.sandbox.faults.on())

    def set_back(self) -> None:
        """The exchange's clock alone, an hour back."""
        self.sandbox.clock.advance(-HOUR)

    def set_right(self) -> None:
        """Undo `set_back`."""
        self.sandbox.clock.advance(HOUR)
