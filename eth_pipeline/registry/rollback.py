"""One command back to a bundle that ran before: verified again, recorded, and in use from the next hour.

Belongs here: the order of the steps. Does not belong: what verified means (`registry.verification`), how the local
pointer moves (`registry.production`).
"""

from pathlib import Path
from typing import Unpack

from eth_pipeline.errors import BundleRefused
from eth_pipeline.registry.mlflow_store import PREVIOUS, RegistryStore
from eth_pipeline.registry.production import fetch_verified, point_to
from eth_pipeline.registry.promotion_log import PromotionLog
from eth_pipeline.registry.verification import Expectations, VerifiedBundle


def rollback(
    store: RegistryStore,
    log: PromotionLog,
    *,
    home: Path,
    run_id: str,
    reason: str,
    to_version: str | None = None,
    **expected: Unpack[Expectations],
) -> VerifiedBundle:
    """Return production to `to_version`, or to the version that `previous` names.

    The target is fetched and verified first, the log entry is written next, then the alias moves and last the local
    pointer. Before the log entry nothing has changed; killed after it, repeating the command finishes the work. The
    version rolled back from becomes `previous`, so that a second rollback without `to_version` returns to it.

    Args:
        run_id: the run or command that asked for it.
        reason: why, in the operator's words; it goes into the log.

    Raises:
        BundleRefused: nothing to return to, or the target may not be loaded; production stays as it is.
        RegistryUnavailable: MLflow does not answer; production stays as it is.
        ContractViolation: the promotion log is broken; production stays as it is.
    """
    log.verify()
    target = store.version(to_version) if to_version is not None else store.version_of(PREVIOUS)
    if target is None:
        raise BundleRefused(
            f"{store.model_name} has no `{PREVIOUS}` version: nothing was in production before. Name a version to "
            "return to."
        )
    bundle = fetch_verified(store, target, home=home, **expected)
    log.append(
        decision=bundle.decision,
        version=target.version,
        run_id=run_id,
        at=expected["now"],
        action="rolled_back",
        reason=reason,
    )
    store.promote(target.version)
    point_to(bundle, version=target.version, home=home, verified_at=expected["now"])
    return bundle
