"""One round of watching: every rule asked once, its answer in the book, the queue delivered.

Belongs here: which question belongs to which kind, and that one broken question silences no other. Does not belong:
rules, evidence, when a round happens (`defs.alerts`, `cli.alerts`).
"""

import functools
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.operations.alerting import deadman, evidence, rules
from eth_pipeline.operations.alerting.book import open_book
from eth_pipeline.operations.alerting.delivery import deliver, usable_targets
from eth_pipeline.operations.alerting.kinds import Condition, Happening
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.alias import check_alias
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import AlertSettings, Settings

_LOG = logging.getLogger("eth_pipeline.alerts")
_TARGETS = "delivery"
_FAR = frozenset({AlertKind.ALIAS_MOVED})  # asks MLflow, perhaps over the network

Finding = Condition | Happening
Question = Callable[[], Sequence[Finding]]


@dataclass(frozen=True)
class Round:
    """What one look found; `judged` are the kinds that could be looked at."""

    conditions: tuple[Condition, ...]
    happenings: tuple[Happening, ...]
    judged: frozenset[str]


@dataclass(frozen=True)
class Told:
    """What a round did: messages delivered, refused by their target, and still waiting; `problem` hinders all."""

    delivered: int
    refused: int
    waiting: int
    problem: str | None = None


def ask(questions: Mapping[AlertKind, Question]) -> Round:
    """Ask every question; one that raises leaves its kind unjudged and becomes a condition itself."""
    conditions: list[Condition] = []
    happenings: list[Happening] = []
    judged = {str(AlertKind.RULE_BROKEN)}
    for kind, question in questions.items():
        try:
            found = question()
        except Exception as error:  # whatever breaks one rule must not silence the others
            _LOG.warning("alert rule %s broke: %s", kind, error)
            conditions.append(rules.rule_broken(kind, error))
            continue
        judged.add(str(kind))
        conditions += [finding for finding in found if isinstance(finding, Condition)]
        happenings += [finding for finding in found if isinstance(finding, Happening)]
    return Round(tuple(conditions), tuple(happenings), frozenset(judged))


def home_questions(settings: Settings, *, now: datetime) -> dict[AlertKind, Question]:
    """Every question that the files of a home answer.

    A home that has never met its exchange does not know the exchange's time, so silence is not judged here; the
    dead-man's switch does it by the host's clock.

    Args:
        settings: of the home.
        now: host time.
    """
    limits = settings.alerts
    offset = deadman.known_offset(settings)
    questions: dict[AlertKind, Question] = {
        **_record_questions(settings, limits),
        AlertKind.EXCHANGE_FAILING: lambda: rules.exchange_failing(evidence.exchange_troubles(settings, now=now)),
        AlertKind.STATE_CHANGED: lambda: rules.state_changed(evidence.newest_transitions(settings)),
        AlertKind.PROMOTION: lambda: rules.promotion(PromotionLog.of(settings.home).verify()),
        AlertKind.ALIAS_MOVED: lambda: _alias(settings),
        AlertKind.DISK_LOW: lambda: rules.disk_low(
            evidence.disks(settings), min_free_bytes=limits.min_free_gigabytes * 1e9
        ),
    }
    if offset is not None:
        questions[AlertKind.DRIFT] = lambda: _drift(settings, exchange_now=now + offset)
        questions[AlertKind.SIGNAL_OVERDUE] = lambda: deadman.silence(settings, exchange_now=now + offset)
    return questions


def watch(settings: Settings, questions: Mapping[AlertKind, Question], *, now: datetime) -> Told:
    """One whole round: ask, note, deliver.

    What asks other services comes last, after the delivery: one that hangs until the round is ended from outside costs
    its own answer and no other, and what it finds goes out with the next round. A target that is down keeps its
    messages in the queue; a targets file that cannot be used keeps them all, and is a condition itself.

    Args:
        settings: of the home.
        questions: from `home_questions`, and those that only Dagster can answer.
        now: host time.
    """
    targets, problem = usable_targets(settings.alerts.targets_file)
    broken = () if problem is None else (Condition(AlertKind.RULE_BROKEN, _TARGETS, problem),)
    with open_book(settings, targets=len(targets)) as book:
        near = ask({kind: question for kind, question in questions.items() if kind not in _FAR})
        book.observe(
            [condition for condition in near.conditions if condition.kind is not AlertKind.RULE_BROKEN],
            now=now,
            judged=near.judged - {str(AlertKind.RULE_BROKEN)},
        )
        book.happened(near.happenings, now=now)
        delivered, refused = deliver(book, targets, now=now, sender=platform.node(), language=settings.language)
        far = ask({kind: question for kind, question in questions.items() if kind in _FAR})
        book.observe((*near.conditions, *far.conditions, *broken), now=now, judged=near.judged | far.judged)
        book.happened(far.happenings, now=now)
        return Told(delivered, refused, book.undelivered(), problem)


def _record_questions(settings: Settings, limits: AlertSettings) -> dict[AlertKind, Question]:
    count = 2 * max(limits.stale_streak_hours, limits.ml_silent_hours, limits.always_hold_hours)

    @functools.cache
    def records() -> Sequence[SignalRecord]:
        return evidence.newest_records(settings, count=count)

    return {
        AlertKind.STALE_STREAK: lambda: rules.stale_streak(records(), hours=limits.stale_streak_hours),
        AlertKind.ML_SILENT: lambda: rules.ml_silent(records(), hours=limits.ml_silent_hours),
        AlertKind.ALWAYS_HOLD: lambda: rules.always_hold(records(), hours=limits.always_hold_hours),
    }


def _alias(settings: Settings) -> tuple[Condition, ...]:
    store = RegistryStore(settings.mlflow_location, artifact_root=settings.home / "mlflow" / "artifacts")
    return rules.alias_moved(check_alias(store, PromotionLog.of(settings.home), home=settings.home))


def _drift(settings: Settings, *, exchange_now: datetime) -> tuple[Condition, ...]:
    report = evidence.measured_drift(settings, exchange_now=exchange_now)
    return () if report is None else rules.drift(report)
