"""Do the registry's production alias, the promotion log and the bundle on this host name the same thing?

Belongs here: the comparison. Does not belong: its sentences (`contracts.wording.alias`), curing it
(`settlement`, `rollback`, `production`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_pipeline.contracts.wording import alias as wording
from eth_pipeline.contracts.wording.board import NONE
from eth_pipeline.errors import BundleRefused, ContractViolation
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.log_state import INTENTS, MOVES, last_move, open_intent, require_holds
from eth_pipeline.registry.promotions.production import Pointer, pointer_or_none
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry, PromotionLog


@dataclass(frozen=True)
class AliasCheck:
    """Sentences about what disagrees; none means consistent."""

    disagreements: tuple[str, ...]

    @property
    def consistent(self) -> bool:
        """True when nothing disagrees."""
        return not self.disagreements


def check_alias(store: RegistryStore, log: PromotionLog, *, home: Path) -> AliasCheck:
    """Compare the three; nothing is changed.

    Raises:
        RegistryUnavailable: MLflow does not answer, so nothing can be said.
        ContractViolation: the promotion log is broken.
    """
    entries, named, here = log.verify(), store.named_by(PRODUCTION), pointer_or_none(home)
    return AliasCheck(
        (
            *_cuts(entries, store, here),
            *_unfinished(entries, store.anchor()),
            *_alias(entries, store, named),
            *_host(store, named, here),
        )
    )


def check_log(log: PromotionLog, *, home: Path, store: RegistryStore | None) -> tuple[PromotionEntry, ...]:
    """Prove that the log is whole: the chain, and that it still holds what host and registry have seen in it.

    Args:
        store: None checks without the registry.

    Raises:
        ContractViolation: the log is broken, cut or another home's.
        RegistryUnavailable: MLflow does not answer.
    """
    entries = log.verify()
    here = pointer_or_none(home)
    if here is not None and here.log_head:
        require_holds(entries, LogHead.parse(here.log_head), where="the pointer of this host")
    if store is not None:
        require_holds(entries, store.anchor(), where="the registry")
    return entries


def _cuts(entries: Sequence[PromotionEntry], store: RegistryStore, here: Pointer | None) -> list[str]:
    seen = {"the registry": store.anchor()}
    if here is not None and here.log_head:
        seen["the pointer of this host"] = LogHead.parse(here.log_head)
    found = []
    for where, head in seen.items():
        try:
            require_holds(entries, head, where=where)
        except ContractViolation as violation:
            found.append(str(violation))
    return found


def _unfinished(entries: Sequence[PromotionEntry], anchor: LogHead | None) -> list[str]:
    intent = open_intent(entries)
    if intent is not None:
        return [wording.UNFINISHED(decision=intent.decision_id)]
    followed = anchor.sequence if anchor is not None else 0
    behind = [entry for entry in entries if entry.sequence > followed and entry.action in MOVES]
    return [wording.NOT_FOLLOWED(action=entry.action, version=entry.version, entry=entry.sequence) for entry in behind]


def _alias(entries: Sequence[PromotionEntry], store: RegistryStore, named: str | None) -> list[str]:
    newest = last_move(entries)
    logged = newest.version if newest else None
    found = []
    if named != logged:
        back = wording.ROLL_BACK(version=logged) if logged else wording.PROMOTE()
        found.append(wording.MOVED_BY_ANOTHER(named=named or NONE(), logged=logged or NONE(), back=back))
    return found + (_decision(entries, store, named) if named is not None else [])


def _decision(entries: Sequence[PromotionEntry], store: RegistryStore, named: str) -> list[str]:
    """What the log knows of the decision behind the version that the alias names."""
    try:
        version = store.version(named)
    except BundleRefused as refusal:
        return [f"{refusal} It is not loaded."]
    recorded = [e for e in entries if e.decision_id == version.decision_id and e.action not in (*INTENTS, "abandoned")]
    if any(e.action in MOVES and e.fingerprint == version.fingerprint for e in recorded):
        return []
    verdict = wording.REFUSED if recorded else wording.UNRECORDED
    return [verdict(version=named, decision=version.decision_id or NONE())]


def _host(store: RegistryStore, named: str | None, here: Pointer | None) -> list[str]:
    found = []
    try:
        production = store.version(named) if named is not None else None
    except BundleRefused:
        production = None  # said already
    if (production.fingerprint if production else None) != (here.fingerprint if here else None):
        found.append(wording.HOST_BEHIND(here=here.version if here else NONE(), named=named or NONE()))
    if here is not None and here.unreconciled:
        found.append(wording.IN_DOUBT(why=here.unreconciled))
    return found
