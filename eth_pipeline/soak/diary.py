"""What a soak found out, hour by hour.

Belongs here: the values. Does not belong: judging (`examination`), showing (`report`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from eth_pipeline.contracts.clock import iso
from eth_pipeline.soak.invariants.bounds import Sample


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
        seconds: real time since the hour before was handed over to the examiner.
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
    samples: list[Sample] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def blame(self, invariant: str, hour: datetime, found: Iterable[str]) -> None:
        """Note what broke `invariant`, once per sentence."""
        known = {(violation.invariant, violation.detail) for violation in self.violations}
        for detail in found:
            if (invariant, detail) not in known:
                self.violations.append(Violation(invariant, iso(hour), detail))
