"""What the promotion log says about the registry: who is in production, who was before, what is unfinished.

Belongs here: pure reading of proven entries. Does not belong: the file (`promotion_log`), making the
registry follow (`settlement`).

Every state is derived from the log alone, so that a process that was killed anywhere can be taken over by the next
one without asking how far it came.
"""

from collections.abc import Sequence

from eth_pipeline.errors import ContractViolation
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry

MOVES = ("promoted", "rolled_back", "adopted")
INTENTS = {"promoting": "promoted", "refusing": "refused"}


def head_of(entries: Sequence[PromotionEntry]) -> LogHead | None:
    """The newest entry, None of an empty log."""
    return LogHead(entries[-1].sequence, entries[-1].sha256) if entries else None


def require_holds(entries: Sequence[PromotionEntry], anchor: LogHead | None, *, where: str) -> None:
    """Refuse a log that lacks an entry which somebody has seen in it.

    Args:
        entries: the proven log.
        anchor: what was seen, None where nothing was.
        where: who saw it, for the message.

    Raises:
        ContractViolation: the log was cut at its end, replaced, or is another home's.
    """
    if anchor is None:
        return
    if len(entries) < anchor.sequence or entries[anchor.sequence - 1].sha256 != anchor.sha256:
        raise ContractViolation(
            f"The promotion log has {len(entries)} entries, but {where} has seen entry {anchor.sequence} "
            f"({anchor.sha256[:12]}), which is not in it: the log was cut at its end, replaced, or this registry "
            "belongs to another home. Restore the log from its backup; nothing is promoted until it is whole."
        )


def last_move(entries: Sequence[PromotionEntry]) -> PromotionEntry | None:
    """The entry that says which version is in production, None while there is none."""
    return next((entry for entry in reversed(entries) if entry.action in MOVES), None)


def move_before(entries: Sequence[PromotionEntry]) -> PromotionEntry | None:
    """The newest move to another version than the one in production: where a rollback returns to."""
    newest = last_move(entries)
    if newest is None:
        return None
    return next((e for e in reversed(entries) if e.action in MOVES and e.version != newest.version), None)


def open_intent(entries: Sequence[PromotionEntry]) -> PromotionEntry | None:
    """The newest intent, where no outcome of it follows; None where nothing is under way."""
    for position in range(len(entries) - 1, -1, -1):
        if entries[position].action in INTENTS:
            decision, closing = entries[position].decision_id, (*INTENTS.values(), "abandoned")
            closed = any(e.decision_id == decision and e.action in closing for e in entries[position + 1 :])
            return None if closed else entries[position]
    return None


def outcome_of(entries: Sequence[PromotionEntry], decision_id: str) -> PromotionEntry | None:
    """The entry that says how a decision ended, None while it has not."""
    return next((e for e in entries if e.decision_id == decision_id and e.action in INTENTS.values()), None)
