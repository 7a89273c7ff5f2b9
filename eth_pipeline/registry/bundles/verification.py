"""Whether a bundle on disk may be loaded: every check, in an order in which no byte is trusted too early.

Belongs here: the checks and the verified value. Does not belong: writing, fetching, pointing at one.

Order: layout and path safety, signature and hashes, JSON shapes, expiry, feature schema, and last provenance,
phase and decision.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from eth_pipeline.contracts.artifact import (
    DATA_VERSIONS,
    DECISION,
    METRICS,
    MODELS,
    RUNTIME_CONTRACT,
    SIGNATURE,
    DataVersions,
    PromotionDecision,
    RuntimeContract,
    expired,
)
from eth_pipeline.contracts.clock import iso
from eth_pipeline.errors import BundleExpired, BundleRefused, DecisionRefused, HashMismatch, SchemaMismatch
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.bundles.layout import bundle_files, require_complete
from eth_pipeline.registry.bundles.signing import verify_folder
from eth_pipeline.settings import Phase

FINGERPRINT = re.compile(r"[0-9a-f]{64}")

_Part = TypeVar("_Part", bound=BaseModel)


class Expectations(TypedDict):
    """What the running system demands of a bundle, the same at every door."""

    public_keys: tuple[Path, ...]
    phase: Phase
    now: datetime
    feature_schema: str
    base_interval: str
    symbol: str


@dataclass(frozen=True)
class VerifiedBundle:
    """A bundle that passed every check at the moment it was verified."""

    folder: Path
    contract: RuntimeContract
    decision: PromotionDecision
    report: EvaluationReport | None
    fingerprint: str


def verify_bundle(folder: Path, **expected: Unpack[Expectations]) -> VerifiedBundle:
    """Verify the bundle in `folder` for a load now; `expected` are the fields of `Expectations`.

    Raises:
        BundleRefused: links, special files, oversized or unreadable parts.
        SignatureRefused: no signature by a pinned key.
        HashMismatch: not the files that were signed.
        BundleExpired: `now` has reached `expires_at`.
        SchemaMismatch: made for other features, another base interval or another symbol.
        DecisionRefused: no promotion decision about exactly this bundle that allows the phase.
    """
    files = bundle_files(folder)
    require_complete(folder, files=files)
    verify_folder(folder, public_keys=expected["public_keys"])
    contract = read_contract(folder)
    decision = read_decision(folder)
    report = read_report(folder)
    read_data_versions(folder)
    require_unexpired(contract, now=expected["now"])
    require_schema(contract, files=files, expected=expected)
    content = fingerprint(folder)
    _check_decision(decision, contract=contract, content=content, phase=expected["phase"])
    return VerifiedBundle(folder=folder, contract=contract, decision=decision, report=report, fingerprint=content)


def fingerprint(folder: Path) -> str:
    """Name of a bundle's content: sha256 over path and sha256 of every file but the decision and the signature.

    Raises:
        BundleRefused: `folder` holds something that no bundle may hold.
    """
    digest = hashlib.sha256()
    for name in bundle_files(folder):
        if name not in (DECISION, SIGNATURE):
            with (folder / name).open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def read_contract(folder: Path) -> RuntimeContract:
    """The runtime contract of the bundle in `folder`; proves nothing by itself.

    Raises:
        BundleRefused: it is missing or not in the expected shape.
    """
    return _read(folder, RUNTIME_CONTRACT, RuntimeContract)


def read_decision(folder: Path) -> PromotionDecision:
    """The decision about the bundle in `folder`; proves nothing by itself.

    Raises:
        DecisionRefused: it is missing or not in the expected shape.
    """
    return _read(folder, DECISION, PromotionDecision)


def read_report(folder: Path) -> EvaluationReport:
    """The evaluation report of the bundle in `folder`; proves nothing by itself.

    Raises:
        BundleRefused: it is missing or not in the expected shape.
    """
    return _read(folder, METRICS, EvaluationReport)


def read_data_versions(folder: Path) -> DataVersions:
    """The lake versions that the bundle in `folder` was trained on; proves nothing by itself.

    Raises:
        BundleRefused: they are missing or not in the expected shape.
    """
    return _read(folder, DATA_VERSIONS, DataVersions)


def _read(folder: Path, name: str, shape: type[_Part]) -> _Part:
    try:
        return shape.model_validate_json((folder / name).read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        refusal = DecisionRefused if name == DECISION else BundleRefused
        raise refusal(
            f"{folder / name} is no {shape.__name__} that this code reads: {error}. Train and promote again with the "
            "code version that runs here."
        ) from error


def require_unexpired(contract: RuntimeContract, *, now: datetime) -> None:
    """Refuse a bundle that is past its expiry.

    Raises:
        BundleExpired: `now` has reached `expires_at`.
    """
    if expired(contract, now=now):
        raise BundleExpired(
            f"The bundle expired at {iso(contract.expires_at)} and it is {iso(now)}; it was trained until "
            f"{iso(contract.trained_until)}. Train and promote a new one."
        )


def require_schema(contract: RuntimeContract, *, files: tuple[str, ...], expected: Expectations) -> None:
    """Refuse a bundle that was made for something else than what runs here.

    Raises:
        SchemaMismatch: other features, another base interval or another symbol.
        HashMismatch: `files` are not the ones that the contract names.
    """
    if (contract.symbol, contract.base_interval) != (expected["symbol"], expected["base_interval"]):
        raise SchemaMismatch(
            f"The bundle is for {contract.symbol} on {contract.base_interval} bars, this system runs "
            f"{expected['symbol']} on {expected['base_interval']}. Promote a bundle trained for these settings."
        )
    if contract.feature_schema != expected["feature_schema"]:
        raise SchemaMismatch(
            f"The bundle was trained on feature schema {contract.feature_schema[:12]} ({len(contract.inputs)} inputs), "
            f"the running code computes {expected['feature_schema'][:12]}. Run the code version the bundle names "
            f"({contract.code_commit[:12]}), or train and promote a new one."
        )
    named = [f"{MODELS}/{file}" for file in contract.files]
    present = sorted(name for name in files if name.startswith(f"{MODELS}/"))
    if named != present:
        raise HashMismatch(
            f"The runtime contract names {named}, the bundle holds {present}. Train and promote a new bundle."
        )


def _check_decision(decision: PromotionDecision, *, contract: RuntimeContract, content: str, phase: Phase) -> None:
    name = f"Decision {decision.decision_id}"
    if decision.candidate_fingerprint != content:
        raise DecisionRefused(
            f"{name} is about bundle {decision.candidate_fingerprint[:12]}, this one is {content[:12]}. "
            "Promote this bundle itself."
        )
    if decision.provenance != contract.provenance:
        raise DecisionRefused(
            f"{name} was made about {decision.provenance} data, the bundle was trained on {contract.provenance}. "
            "Promote again."
        )
    if not decision.promoted or decision.failed_gates:
        failed = "; ".join(f"{gate.name}: {gate.reason}" for gate in decision.failed_gates) or "no gate is named"
        raise DecisionRefused(f"{name} refused this bundle ({failed}). Only a promoted bundle may be loaded.")
    # The live gates contain the paper gates, so a live decision also allows paper; never the other way round.
    if decision.phase not in (phase, "live"):
        raise DecisionRefused(
            f"{name} allows phase {decision.phase}, this system runs {phase}. Decide about the bundle for {phase}."
        )
    if phase == "live" and contract.provenance != "binance":
        raise DecisionRefused(
            f"The bundle was trained on {contract.provenance} data; live runs on binance data only, whatever "
            f"{name} says. Train on the exchange's own history."
        )
