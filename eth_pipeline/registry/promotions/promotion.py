"""One promotion: judge a candidate, sign it with its decision, register it, log it, move the alias.

Belongs here: the order of these steps. Does not belong: what each of them does.

The order is the safety. The intent is in the log before anything is registered, the outcome before an alias moves,
and the registry remembers how far it has followed the log (`settlement`): killed at any step, the next
command finishes or closes what was begun. One host moves production one at a time; a second host with a log of its
own is refused.
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Unpack

import polars as pl

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.errors import BundleRefused, RegistryMoved
from eth_pipeline.lake import Lake
from eth_pipeline.models.figures.report import Estimate
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.bundles.onnx_graph import require_sound_models
from eth_pipeline.registry.bundles.signing import create_key_pair
from eth_pipeline.registry.bundles.verification import (
    Expectations,
    fingerprint,
    read_contract,
    read_decision,
    read_report,
)
from eth_pipeline.registry.crossings import Crossings
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.champion import compare
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.fetched_bundle import fetch_verified
from eth_pipeline.registry.promotions.log_state import last_move, outcome_of
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.registry.promotions.settlement import follow, one_at_a_time, run_to_end, settle
from eth_pipeline.registry.runs.run_plots import candidate_plots
from eth_pipeline.registry.runs.run_record import run_params
from eth_pipeline.settings import Settings


def promote_candidate(
    folder: Path,
    *,
    store: RegistryStore,
    lake: Lake,
    settings: Settings,
    run_id: str,
    hyperparameters: Mapping[str, Any] | None = None,
    **expected: Unpack[Expectations],
) -> tuple[PromotionDecision, str]:
    """Decide about the bundle in `folder` and carry the decision out; returns it with the registry version.

    Args:
        hyperparameters: of the models, for the count of tries; see `registry.runs.run_record.parameters_digest`.

    Raises:
        SettingsInvalid: no signing key on this host and keys are pinned elsewhere.
        ModelRefused: a model file is not what the contract says; nothing was signed.
        ContractViolation: the promotion log is broken, cut, or another home's; nothing was promoted.
        RegistryMoved: production was moved meanwhile by another hand; nothing was promoted.
        RegistryUnavailable: MLflow does not answer; nothing was promoted.
    """
    steps = promotion_steps(
        folder,
        store=store,
        lake=lake,
        settings=settings,
        run_id=run_id,
        hyperparameters=hyperparameters,
        **expected,
    )
    return run_to_end(steps)


def promotion_steps(
    folder: Path,
    *,
    store: RegistryStore,
    lake: Lake,
    settings: Settings,
    run_id: str,
    hyperparameters: Mapping[str, Any] | None = None,
    **expected: Unpack[Expectations],
) -> Generator[str, None, tuple[PromotionDecision, str]]:
    """The promotion step by step, yielding the name of each one that is done; arguments as `promote_candidate`."""
    log = promotion_log(settings)
    with one_at_a_time(log):
        _ensure_keys(settings)
        settle(store, log, at=expected["now"])
        yield "settled"
        contract = read_contract(folder)
        require_sound_models(folder, contract)
        before = store.named_by(PRODUCTION)
        decision = _decide(folder, store=store, log=log, lake=lake, settings=settings, expected=expected)
        if (done := outcome_of(log.verify(), decision.decision_id)) is not None:
            return read_decision(folder), done.version  # the same question, asked twice at the same instant
        attach_decision(folder, decision, private_key=settings.private_key_path)
        yield "signed"
        intent = log.append(
            decision=decision,
            version="",
            run_id=run_id,
            at=expected["now"],
            action="promoting" if decision.promoted else "refusing",
        )
        yield "intended"
        report = read_report(folder)
        version = store.register_candidate(
            folder,
            report=report,
            decision=decision,
            run_tags={"dagster_run_id": run_id, "code_commit": contract.code_commit},
            params=run_params(contract, settings, hyperparameters=hyperparameters),
            origin=_origin(settings, decision.candidate_fingerprint),
            plots=candidate_plots(report, _oof(lake, decision.candidate_fingerprint)),
        ).version
        yield "registered"
        if decision.promoted and store.named_by(PRODUCTION) != before:
            reason = f"the production alias moved from version {before or 'none'} while this was decided"
            log.conclude(intent, action="abandoned", version=version, at=expected["now"], reason=reason)
            raise RegistryMoved(f"Version {version} was not promoted: {reason} by another hand. Promote it again.")
        log.conclude(intent, action="promoted" if decision.promoted else "refused", version=version, at=expected["now"])
        yield "logged"
        if decision.promoted:
            yield from follow(store, log)
        else:
            settle(store, log, at=expected["now"])
            yield "anchored"
    return decision, version


def promotion_log(settings: Settings) -> PromotionLog:
    """The promotion log of this home."""
    return PromotionLog.of(settings.home)


def _decide(
    folder: Path,
    *,
    store: RegistryStore,
    log: PromotionLog,
    lake: Lake,
    settings: Settings,
    expected: Expectations,
) -> PromotionDecision:
    candidate, champion = fingerprint(folder), _champion(store, log, settings, expected)
    return decide(
        read_report(folder),
        phase=settings.phase,
        settings=settings.gates,
        candidate_fingerprint=candidate,
        champion_fingerprint=champion,
        champion_comparison=_comparison(lake, settings, candidate=candidate, champion=champion),
        decided_at=expected["now"],
    )


def _champion(store: RegistryStore, log: PromotionLog, settings: Settings, expected: Expectations) -> str | None:
    """Fingerprint of the bundle to beat: the one the log says is in production, unless it may not run by itself.

    An expired champion, or one that fails verification, forecasts nothing; a candidate that had to beat it on rows
    that no longer exist could never replace it. An alias moved by hand makes no champion: the log does.
    """
    production = last_move(log.verify())
    if production is None:
        return None
    try:
        version = store.version(production.version)
        return fetch_verified(store, version, home=settings.home, **expected).fingerprint
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


def _origin(settings: Settings, candidate: str) -> dict[str, str]:
    """Tags that say where a candidate from beyond the air gap was trained; none for one that was trained here."""
    found = Crossings(settings.home).origin_of(candidate)
    return {**found.tags, "origin_mlflow_run": found.mlflow_run} if found is not None else {}


def _oof(lake: Lake, candidate: str) -> pl.DataFrame:
    return lake.read(OOF_FORECASTS, where=pl.col("fingerprint") == candidate)


def _ensure_keys(settings: Settings) -> None:
    """Create the home's own key pair on first use; never where keys were pinned by hand."""
    if settings.private_key_path.exists() or settings.signing_public_keys or settings.signing_private_key:
        return
    create_key_pair(private_key=settings.private_key_path, public_key=settings.public_key_paths[0])
