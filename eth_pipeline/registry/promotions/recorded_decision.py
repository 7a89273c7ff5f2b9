"""The decision behind an entry of the promotion log, with all its gates.

Belongs here: finding it, here or in the registry. Does not belong: judging, printing.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import BundleRefused, DecisionRefused
from eth_pipeline.registry.bundles.verification import read_decision
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry


def entry_named(entries: Sequence[PromotionEntry], which: str) -> PromotionEntry:
    """The entry of a number, or the newest one of a decision.

    Raises:
        DecisionRefused: the log has none.
    """
    for entry in reversed(entries):
        if which in (str(entry.sequence), entry.decision_id):
            return entry
    raise DecisionRefused(f"The promotion log has no entry {which!r}. `eth-pipeline promotions list` shows them.")


def recorded_decision(entry: PromotionEntry, *, store: RegistryStore, home: Path) -> PromotionDecision:
    """The decision that `entry` is about: from the bundle kept on this host, else from the registry.

    Raises:
        DecisionRefused: neither has it, or another one stands in its place.
        RegistryUnavailable: it is not on this host and MLflow does not answer.
    """
    kept = home / "production" / entry.fingerprint
    try:
        return _same(read_decision(kept), entry)
    except BundleRefused:
        pass  # not kept here
    if not entry.version:
        raise DecisionRefused(
            f"Entry {entry.sequence} has no registry version: the candidate of {entry.decision_id} was not registered."
        )
    with tempfile.TemporaryDirectory() as scratch:
        return _same(read_decision(store.download(entry.version, Path(scratch))), entry)


def _same(decision: PromotionDecision, entry: PromotionEntry) -> PromotionDecision:
    if (decision.decision_id, decision.candidate_fingerprint) != (entry.decision_id, entry.fingerprint):
        raise DecisionRefused(
            f"Entry {entry.sequence} is about decision {entry.decision_id}, version {entry.version} holds "
            f"{decision.decision_id}. The version was changed by hand; restore it from its backup."
        )
    return decision
