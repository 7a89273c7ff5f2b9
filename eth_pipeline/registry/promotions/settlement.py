"""Makes the registry follow the promotion log: finishes what a killed process or an unreachable registry left.

Belongs here: the repair before every command, and the last steps of every move. Does not belong: deciding what moves
(`promotion`, `rollback`), reading the log's meaning (`log_state`).

The log is written first and the aliases follow; the registry carries the head of the log that it has followed (the
anchor). So whatever was left undone lies between the anchor and the log's end, and doing it twice changes nothing:

    intent, no version registered     the intent is closed as `abandoned`; the candidate can be promoted again
    intent, version registered        its outcome is logged
    outcome, anchor behind            `previous` and `production` are moved as the log says, then the anchor
    anchor not in the log             the log was cut or is another home's: refused, nothing is moved
"""

from collections.abc import Generator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.mlflow_store import PREVIOUS, PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.log_state import (
    INTENTS,
    MOVES,
    last_move,
    move_before,
    open_intent,
    require_holds,
)
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry, PromotionLog

Outcome = TypeVar("Outcome")


def one_at_a_time(log: PromotionLog) -> AbstractContextManager[None]:
    """Lock of this host around everything that moves production; others wait, a killed holder releases it."""
    path: Path = log.path.with_name(f".{log.path.name}.moving")
    return exclusive(path)


def settle(store: RegistryStore, log: PromotionLog, *, at: datetime) -> tuple[PromotionEntry, ...]:
    """Finish what was left undone; returns the moves that the registry had not followed yet.

    Call it inside `one_at_a_time`.

    Raises:
        ContractViolation: the log is broken, cut, or another home's.
        RegistryUnavailable: MLflow does not answer; nothing was changed.
        BundleRefused: the log names a version that the registry does not have.
    """
    entries = log.verify()
    anchor = store.anchor()
    require_holds(entries, anchor, where="the registry")
    intent = open_intent(entries)
    if intent is not None:
        _conclude(store, log, intent, at=at)
        entries = log.verify()
    followed = anchor.sequence if anchor is not None else 0
    behind = tuple(entry for entry in entries if entry.sequence > followed)
    moves = tuple(entry for entry in behind if entry.action in MOVES)
    if moves:
        run_to_end(follow(store, log))
    elif behind:
        store.anchor_to(LogHead(entries[-1].sequence, entries[-1].sha256))
    return moves


def follow(store: RegistryStore, log: PromotionLog) -> Generator[str, None, None]:
    """Carry out the newest move of the log, yielding the name of each step that is done.

    `previous` first: killed in between, `production` still names what runs, and the log says what is meant.
    """
    entries = log.verify()
    newest, before = last_move(entries), move_before(entries)
    if before is not None:
        store.name(PREVIOUS, before.version)
        yield "previous_named"
    if newest is not None:
        store.name(PRODUCTION, newest.version)
        yield "production_named"
    store.anchor_to(LogHead(entries[-1].sequence, entries[-1].sha256))
    yield "anchored"


def run_to_end(steps: Generator[str, None, Outcome]) -> Outcome:
    """Go through every step and return what the generator returns.

    A move is written as a generator that yields after each step, so that every boundary at which a process can die
    has a name, and a driver can stop there.
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def _conclude(store: RegistryStore, log: PromotionLog, intent: PromotionEntry, *, at: datetime) -> None:
    made = store.unfinished(intent.decision_id)
    if made is None:
        reason = "the process died before the candidate was registered; promote it again"
        log.conclude(intent, action="abandoned", version="", at=at, reason=reason)
    elif INTENTS[intent.action] == "promoted":
        log.conclude(intent, action="promoted", version=made.version, at=at)
    else:
        log.conclude(intent, action="refused", version=made.version, at=at)
