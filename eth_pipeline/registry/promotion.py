"""One promotion: judge a candidate, sign it with its decision, register it, move the alias, log it.

Belongs here: the order of these steps. Does not belong: what each of them does.

The order is the safety: the decision is attached and signed before anything is registered, the log entry is
written before the alias moves, so an alias without a log entry can only come from another hand.
"""

from pathlib import Path
from typing import Unpack

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import BundleRefused
from eth_pipeline.lake import Lake
from eth_pipeline.models.report import Estimate
from eth_pipeline.registry.bundle import attach_decision
from eth_pipeline.registry.champion import compare
from eth_pipeline.registry.decision import decide
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.production import fetch_verified
from eth_pipeline.registry.promotion_log import PromotionLog
from eth_pipeline.registry.signing import create_key_pair
from eth_pipeline.registry.verification import Expectations, fingerprint, read_report
from eth_pipeline.settings import Settings


def promote_candidate(
    folder: Path,
    *,
    store: RegistryStore,
    lake: Lake,
    settings: Settings,
    run_id: str,
    **expected: Unpack[Expectations],
) -> tuple[PromotionDecision, str]:
    """Decide about the bundle in `folder` and carry the decision out; returns it with the registry version.

    Raises:
        SettingsInvalid: no signing key on this host and keys are pinned elsewhere.
        RegistryUnavailable: MLflow does not answer; nothing was promoted.
    """
    _ensure_keys(settings)
    report = read_report(folder)
    candidate, champion = fingerprint(folder), _champion(store, settings, expected)
    decision = decide(
        report,
        phase=settings.phase,
        settings=settings.gates,
        candidate_fingerprint=candidate,
        champion_fingerprint=champion,
        champion_comparison=_comparison(lake, settings, candidate=candidate, champion=champion),
        decided_at=expected["now"],
    )
    attach_decision(folder, decision, private_key=settings.private_key_path)
    version = store.register_candidate(
        folder,
        report=report,
        decision=decision,
        run_tags={"dagster_run_id": run_id},
        params={"symbol": settings.symbol, "base_interval": settings.base_interval, "seed": settings.training.seed},
    )
    promotion_log(settings).append(decision=decision, version=version.version, run_id=run_id, at=expected["now"])
    if decision.promoted:
        store.promote(version.version)
    return decision, version.version


def promotion_log(settings: Settings) -> PromotionLog:
    """The promotion log of this home."""
    return PromotionLog(settings.home / "promotions.jsonl")


def _champion(store: RegistryStore, settings: Settings, expected: Expectations) -> str | None:
    """Fingerprint of the bundle to beat: the one in production, unless it may not run any more by itself.

    An expired champion, or one that fails verification, forecasts nothing; a candidate that had to beat it on rows
    that no longer exist could never replace it.
    """
    production = store.production()
    if production is None:
        return None
    try:
        return fetch_verified(store, production, home=settings.home, **expected).fingerprint
    except BundleRefused:
        return None


def _comparison(lake: Lake, settings: Settings, *, candidate: str, champion: str | None) -> Estimate | None:
    if champion is None or champion == candidate:
        return None
    return compare(
        lake,
        symbol=settings.symbol,
        candidate=candidate,
        champion=champion,
        horizon_hours=min(settings.training.horizons_hours),
        samples=settings.training.bootstrap_samples,
        seed=settings.training.seed,
    )


def _ensure_keys(settings: Settings) -> None:
    """Create the home's own key pair on first use; never where keys were pinned by hand."""
    if settings.private_key_path.exists() or settings.signing_public_keys or settings.signing_private_key:
        return
    create_key_pair(private_key=settings.private_key_path, public_key=settings.public_key_paths[0])
