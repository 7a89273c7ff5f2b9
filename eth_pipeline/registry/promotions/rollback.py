"""One command back to a bundle that ran before: verified again, recorded, and in use from the next hour.

Belongs here: the order of the steps, with the registry and without. Does not belong: what verified means
(`registry.bundles.verification`), how the aliases follow the log (`settlement`) and the local pointer moves
(`production`).

Without the registry the way back leads to a bundle that is kept on this host. The log and the pointer are moved, the
pointer says why the registry does not know of it, and the next command that reaches the registry carries it out.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Unpack

from eth_pipeline.errors import BundleAbsent, BundleRefused, RegistryUnavailable
from eth_pipeline.registry.bundles.verification import Expectations, VerifiedBundle, verify_bundle
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.fetched_bundle import fetch_verified
from eth_pipeline.registry.promotions.log_state import head_of, last_move, move_before, open_intent, require_holds
from eth_pipeline.registry.promotions.production import Pointer, kept_bundles, point_to, pointer_or_none
from eth_pipeline.registry.promotions.promotion_log import PromotionEntry, PromotionLog
from eth_pipeline.registry.promotions.settlement import follow, one_at_a_time, run_to_end, settle

PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class RolledBack:
    """What is in use now. `unreconciled` says why the registry does not know of it yet, empty when it does."""

    bundle: VerifiedBundle
    version: str
    unreconciled: str = ""


def rollback(
    store: RegistryStore,
    log: PromotionLog,
    *,
    home: Path,
    run_id: str,
    reason: str,
    to_version: str | None = None,
    **expected: Unpack[Expectations],
) -> RolledBack:
    """Return production to `to_version`, or to the version that was in production before.

    The target is verified first, the log entry is written next, then the aliases follow and last the local pointer.
    Before the log entry nothing has changed; killed after it, repeating the command finishes the work and goes back
    no further. The version rolled back from becomes `previous`, so a second rollback without `to_version` returns to
    it.

    Args:
        run_id: the run or command that asked for it.
        reason: why, in the operator's words; it goes into the log.

    Raises:
        BundleRefused: nothing to return to, or the target may not be loaded; production stays as it is.
        ContractViolation: the promotion log is broken or cut; production stays as it is.
        RegistryUnavailable: MLflow stopped answering on the way; repeat the command.
    """
    steps = rollback_steps(store, log, home=home, run_id=run_id, reason=reason, to_version=to_version, **expected)
    return run_to_end(steps)


def rollback_steps(
    store: RegistryStore,
    log: PromotionLog,
    *,
    home: Path,
    run_id: str,
    reason: str,
    to_version: str | None = None,
    **expected: Unpack[Expectations],
) -> Generator[str, None, RolledBack]:
    """The rollback step by step, yielding the name of each one that is done; arguments as `rollback`."""
    now = expected["now"]
    with one_at_a_time(log):
        seen = pointer_or_none(home)
        require_holds(log.verify(), _head(seen), where="the pointer of this host")
        interrupted = _interrupted(log, seen)
        wanted = to_version or (interrupted.version if interrupted is not None else None)
        unreconciled = ""
        try:
            store.require_answer(within_seconds=PATIENCE_SECONDS)
            settle(store, log, at=now)
            yield "settled"
            bundle, version = _from_registry(store, log, home, wanted, expected)
        except RegistryUnavailable as down:
            bundle, version = _from_this_host(home, wanted, expected)
            unreconciled = f"rolled back to version {version} while the registry did not answer: {down}"
            _abandon_intent(log, at=now)
        yield "verified"
        if interrupted is None or interrupted.version != version:
            log.append(
                decision=bundle.decision, version=version, run_id=run_id, at=now, action="rolled_back", reason=reason
            )
            yield "logged"
        if not unreconciled:
            yield from follow(store, log)
        point_to(
            bundle,
            version=version,
            home=home,
            verified_at=now,
            log_head=head_of(log.verify()),
            unreconciled=unreconciled,
        )
        yield "pointed"
    return RolledBack(bundle, version, unreconciled)


def _from_registry(
    store: RegistryStore, log: PromotionLog, home: Path, wanted: str | None, expected: Expectations
) -> tuple[VerifiedBundle, str]:
    if wanted is None:
        before = move_before(log.verify())
        if before is None:
            raise BundleRefused(
                f"The promotion log of {store.model_name} names no other version: nothing was in production before. "
                "Name a version to return to."
            )
        wanted = before.version
    target = store.version(wanted)
    return fetch_verified(store, target, home=home, **expected), target.version


def _from_this_host(home: Path, wanted: str | None, expected: Expectations) -> tuple[VerifiedBundle, str]:
    """The wanted one of the kept bundles, or the newest that verifies besides the one in use."""
    kept = kept_bundles(home)
    in_use = pointer_or_none(home)
    chosen = [
        known
        for known in kept
        if (known.version == wanted if wanted is not None else in_use is None or known.folder != in_use.folder)
    ]
    refusals: list[str] = []
    for known in chosen:
        try:
            bundle = verify_bundle(home / "production" / known.folder, **expected)
        except BundleRefused as refusal:
            refusals.append(f"version {known.version}: {refusal}")
            continue
        if bundle.fingerprint == known.fingerprint:
            return bundle, known.version
        refusals.append(f"version {known.version}: the folder holds bundle {bundle.fingerprint[:12]}")
    raise BundleAbsent(
        f"The registry does not answer, and this host keeps no bundle to return to (wanted: {wanted or 'any'}; kept: "
        f"{', '.join(known.version for known in kept) or 'none'}). {' '.join(refusals)} Production stays as it is; "
        "start the registry, or name a version that is kept."
    )


def _interrupted(log: PromotionLog, seen: Pointer | None) -> PromotionEntry | None:
    """The rollback that the log records and this host does not run yet: its command was killed."""
    newest = last_move(log.verify())
    if newest is None or newest.action != "rolled_back" or (seen is not None and seen.version == newest.version):
        return None
    return newest


def _abandon_intent(log: PromotionLog, *, at: datetime) -> None:
    """Close a promotion that is under way: concluded later, it would undo the rollback."""
    intent = open_intent(log.verify())
    if intent is not None:
        reason = "production was rolled back without the registry before this promotion ended; promote again"
        log.conclude(intent, action="abandoned", version="", at=at, reason=reason)


def _head(seen: Pointer | None) -> LogHead | None:
    return LogHead.parse(seen.log_head) if seen is not None and seen.log_head else None
