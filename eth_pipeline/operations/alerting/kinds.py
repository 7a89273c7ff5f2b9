"""The two things that can be noticed, a condition that lasts and an event that happened, and the message of either.

Belongs here: types. Does not belong: the list of kinds (`contracts.alert`), noticing (`rules`), remembering (`book`),
telling (`delivery`).
"""

from dataclasses import dataclass

from eth_pipeline.contracts.alert import AlertKind, Severity


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
