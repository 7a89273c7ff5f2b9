"""Moves of the model in production, as an operator and the daemon make them: promote, roll back, reconcile.

Belongs here: a candidate out of the bundle in use, and the calls of the registry. Does not belong: how the registry
keeps its promises (`registry`), when a move is made (`schedule`).

A soak cannot train a model every other day. A candidate is the bundle in use issued again: the same models and the
same figures with another life span, so another content, decision, signature, version and folder.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl

from eth_pipeline.contracts.artifact import DRIFT, MODELS
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.errors import BundleRefused
from eth_pipeline.lake import Lake
from eth_pipeline.models.drift import DriftReference
from eth_pipeline.registry.bundles.bundle import write_bundle
from eth_pipeline.registry.bundles.verification import fingerprint, read_contract, read_data_versions, read_report
from eth_pipeline.registry.promotions.champion import store_oof
from eth_pipeline.registry.promotions.production import materialize_production, pointer
from eth_pipeline.registry.promotions.promotion import promote_candidate, promotion_log
from eth_pipeline.registry.promotions.rollback import rollback
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import expectations

MoveKind = Literal["promote", "rollback", "reconcile"]


@dataclass(frozen=True)
class Move:
    """One move. `valid_hours` is the life span of a promoted bundle."""

    kind: MoveKind
    valid_hours: float = 24.0 * 45


def move(wanted: Move, *, settings: Settings, now: datetime) -> str:
    """Carry `wanted` out and say in a sentence what came of it.

    Raises:
        EthPipelineError: whatever the registry says.
    """
    from eth_pipeline.defs.assets.training_set import registry_store

    store, lake, expected = registry_store(settings), Lake.of(settings), expectations(settings, now=now)
    if wanted.kind == "promote":
        folder = issue_again(settings, lake, now=now, valid_hours=wanted.valid_hours)
        decision, version = promote_candidate(
            folder, store=store, lake=lake, settings=settings, run_id="soak", **expected
        )
        if not decision.promoted:
            return f"version {version} was refused: {', '.join(gate.name for gate in decision.failed_gates)}"
    elif wanted.kind == "rollback":
        log, why = promotion_log(settings), "the soak asked for it"
        back = rollback(store, log, home=settings.home, run_id="soak", reason=why, **expected)
        return f"back to version {back.version}" + (f"; {back.unreconciled}" if back.unreconciled else "")
    bundle = materialize_production(store, home=settings.home, **expected)
    return f"production is {bundle.fingerprint[:12]}, valid until {iso(bundle.contract.expires_at)}"


def issue_again(settings: Settings, lake: Lake, *, now: datetime, valid_hours: float) -> Path:
    """The bundle in use as an undecided candidate that expires `valid_hours` from now; returns its folder.

    Raises:
        BundleRefused: no bundle is in use.
    """
    here = pointer(settings.home)
    if here is None:
        raise BundleRefused("There is no bundle to issue again. Name a home whose model was promoted.")
    source = settings.home / "production" / here.folder
    contract = read_contract(source)
    issued = contract.model_copy(update={"created_at": now, "expires_at": now + timedelta(hours=valid_hours)})
    folder = settings.home / "candidates" / f"soak-{iso(now).replace(':', '')}-{uuid.uuid4().hex[:8]}"
    drift = source / DRIFT
    write_bundle(
        folder,
        contract=issued,
        models={file: (source / MODELS / file).read_bytes() for file in contract.files},
        report=read_report(source),
        data=read_data_versions(source),
        drift=DriftReference.model_validate_json(drift.read_bytes()) if drift.exists() else None,
    )
    rows = lake.read(OOF_FORECASTS, where=pl.col("fingerprint") == here.fingerprint)
    if rows.height:
        store_oof(lake, rows, fingerprint=fingerprint(folder), symbol=contract.symbol, provenance=contract.provenance)
    return folder
