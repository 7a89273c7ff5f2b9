"""The schedule of a soak: which trouble begins at which hour, drawn from one seed.

Belongs here: drawing. Does not belong: what a trouble does. The same plan, days and seed give the same schedule; it
is a value, so a report can show it and a single hour of it can be looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from eth_pipeline.soak.plan import SoakPlan, Trouble

DAY_HOURS = 24
CALM_AFTER_HOURS = 4


@dataclass(frozen=True)
class Begin:
    """A trouble that begins; `draw` in [0, 1) is its own random number, for whatever it leaves to chance."""

    name: str
    trouble: Trouble
    draw: float


@dataclass(frozen=True)
class Hour:
    """One hour of the schedule.

    Attributes:
        number: hours since the first.
        begins: troubles that begin here.
        is_stormy: troubles may begin here.
    """

    number: int
    begins: tuple[Begin, ...]
    is_stormy: bool


def draw_schedule(plan: SoakPlan, *, days: float, seed: int) -> tuple[Hour, ...]:
    """All hours of a soak of `days`; every trouble of the plan comes at least once.

    Two troubles of the host never share an hour, nor do two of the model: which of them did it could not be said.
    """
    random = np.random.default_rng(seed)
    hours = max(1, round(days * DAY_HOURS))
    stormy = [number for number in range(hours) if _is_stormy(plan, number)] or list(range(hours))
    begins: dict[int, list[Begin]] = {number: [] for number in range(hours)}
    for kind in ("host", "model", "fault"):
        named = {name: trouble for name, trouble in plan.troubles.items() if getattr(trouble, kind) is not None}
        _place(named, begins, stormy=stormy, days=days, random=random, alone=kind != "fault")
    return tuple(
        Hour(number, tuple(sorted(begins[number], key=lambda begin: begin.name)), _is_stormy(plan, number))
        for number in range(hours)
    )


def counts(schedule: Sequence[Hour]) -> Mapping[str, int]:
    """How often each trouble comes."""
    names = sorted(begin.name for hour in schedule for begin in hour.begins)
    return MappingProxyType({name: names.count(name) for name in dict.fromkeys(names)})


def _is_stormy(plan: SoakPlan, number: int) -> bool:
    since = number - plan.first_calm_hours
    return since >= 0 and since % (plan.storm_hours + plan.calm_hours) < plan.storm_hours


def _place(
    named: Mapping[str, Trouble],
    begins: dict[int, list[Begin]],
    *,
    stormy: Sequence[int],
    days: float,
    random: np.random.Generator,
    alone: bool,
) -> None:
    """Deal the troubles of one kind out to stormy hours: `alone` each to another hour while there are any left."""
    wanted = [name for name, trouble in named.items() for _ in range(max(1, round(trouble.per_day * days)))]
    random.shuffle(wanted)
    free: list[int] = []
    for name in wanted:
        if not free:
            free = [int(number) for number in random.permutation(stormy)]
        number = free.pop() if alone else int(random.choice(stormy))
        begins[number].append(Begin(name, named[name], float(random.random())))


class InForce:
    """Which troubles are in force, and since when there is calm."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._last_trouble = -CALM_AFTER_HOURS

    def extend(self, name: str, *, last: int) -> None:
        """The trouble `name` is in force up to the hour `last`."""
        self._last[name] = last

    def clear(self) -> None:
        """None any more."""
        self._last.clear()

    def names(self, number: int) -> tuple[str, ...]:
        """Those of hour `number`, sorted; hours are asked in their order."""
        found = tuple(sorted(name for name, last in self._last.items() if number <= last))
        if found:
            self._last_trouble = number
        return found

    def is_calm(self, number: int) -> bool:
        """Whether the hour has been calm for long enough for everything to be well."""
        return number - self._last_trouble >= CALM_AFTER_HOURS
