"""The closed list of alerts, and the two things that can be noticed: a condition that lasts, an event that happened.

Belongs here: types. Does not belong: noticing (`rules`), remembering (`book`), telling (`delivery`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Severity = Literal["info", "warning", "failure"]


class AlertKind(StrEnum):
    """Every alert; docs/operations.md has a section of each, with what to do."""

    STALE_STREAK = "stale_streak"
    ML_SILENT = "ml_silent"
    EXCHANGE_FAILING = "exchange_failing"
    ALWAYS_HOLD = "always_hold"
    STATE_CHANGED = "state_changed"
    RUN_FAILED = "run_failed"
    CHECK_FAILED = "check_failed"
    PROMOTION = "promotion"
    ALIAS_MOVED = "alias_moved"
    DRIFT = "drift"
    DISK_LOW = "disk_low"
    SIGNAL_OVERDUE = "signal_overdue"
    RULE_BROKEN = "rule_broken"


@dataclass(frozen=True)
class Condition:
    """Something that is wrong as long as it is reported.

    Attributes:
        kind: what kind.
        subject: what it is about; kind and subject together are the condition's name.
        text: a sentence for people: what, since when, what to do.
        severity: how loud.
    """

    kind: AlertKind
    subject: str
    text: str
    severity: Severity = "failure"


@dataclass(frozen=True)
class Happening:
    """Something that happened once; `identity` tells a repetition from a second time."""

    kind: AlertKind
    identity: str
    text: str
    severity: Severity = "info"


@dataclass(frozen=True)
class Message:
    """One text for one target, waiting or delivered; `number` orders them."""

    number: int
    title: str
    body: str
    severity: Severity
    target: int
    attempts: int
