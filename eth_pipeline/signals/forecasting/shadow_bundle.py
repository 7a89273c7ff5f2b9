"""The candidate that runs beside production: which bundle it is, how it comes to this host, what it must prove.

Belongs here: the folder `<home>/shadow` and the check of a candidate. Does not belong: its forecasts
(`signals.shadow`), the production bundle (`registry.promotions.production`), which never comes from here.

    shadow/
      <fingerprint>/     the bundle that the alias `candidate` named
      current            JSON ShadowPointer

A candidate proves everything that production proves but one thing: its decision need not have promoted it.
"""

import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.errors import BundleRefused, DecisionRefused, HashMismatch
from eth_pipeline.registry.atomic import exclusive, replace_text
from eth_pipeline.registry.bundles.layout import bundle_files, require_complete
from eth_pipeline.registry.bundles.onnx_graph import require_sound_models
from eth_pipeline.registry.bundles.signing import verify_folder
from eth_pipeline.registry.bundles.verification import (
    FINGERPRINT,
    Expectations,
    VerifiedBundle,
    fingerprint,
    read_contract,
    read_decision,
    read_report,
    verify_bundle,
)
from eth_pipeline.registry.mlflow_store import CANDIDATE, RegistryStore
from eth_pipeline.registry.promotions.production import CurrentBundle
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import expectations

NAMED_FOLDER = "folder"


class ShadowPointer(BaseModel):
    """What `current` holds; the folder has the fingerprint's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    fingerprint: str = Field(pattern=f"^{FINGERPRINT.pattern}$")


def shadow_bundle(settings: Settings, *, now: datetime) -> CurrentBundle | None:
    """The candidate of this host, verified now; None where there is none. No network, no MLflow.

    Its version is `folder` where `inference.shadow_bundle` names it.

    Raises:
        BundleRefused: or one of its kinds; it may not run.
    """
    expected = expectations(settings, now=now)
    named = settings.inference.shadow_bundle
    if named is not None:
        return CurrentBundle(verify_candidate(named.expanduser(), **expected), NAMED_FOLDER)
    path = settings.home / "shadow" / "current"
    try:
        found = ShadowPointer.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BundleRefused(f"{path} does not name a candidate: {error}. Bring the candidate here again.") from error
    bundle = verify_candidate(settings.home / "shadow" / found.fingerprint, **expected)
    return CurrentBundle(_require_content(bundle, found.fingerprint), found.version)


def bring_candidate(store: RegistryStore, *, settings: Settings, now: datetime) -> CurrentBundle | None:
    """Bring the version that the alias `candidate` names to this host, for `shadow_bundle`; None where it names none.

    What fails changes nothing here: the candidate before it stays. A version that is here already and still verifies
    is not downloaded again.

    Raises:
        BundleRefused: or one of its kinds; it may not run.
        RegistryUnavailable: MLflow does not answer.
    """
    registered = store.version_of(CANDIDATE)
    if registered is None:
        return None
    root, expected = settings.home / "shadow", expectations(settings, now=now)
    kept = root / registered.fingerprint
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root / ".lock"), tempfile.TemporaryDirectory(dir=root, prefix=".incoming-") as scratch:
        try:
            bundle = _require_content(verify_candidate(kept, **expected), registered.fingerprint)
        except BundleRefused:  # absent or no longer good: the registry's copy is judged instead
            arrived = verify_candidate(store.download(registered.version, Path(scratch)), **expected)
            _require_content(arrived, registered.fingerprint)
            require_sound_models(arrived.folder, arrived.contract)
            if kept.exists():
                kept.rename(Path(scratch) / "replaced")
            arrived.folder.rename(kept)
            bundle = verify_candidate(kept, **expected)
        pointer = ShadowPointer(version=registered.version, fingerprint=registered.fingerprint)
        replace_text(root / "current", pointer.model_dump_json(indent=2) + "\n")
        for folder in root.iterdir():
            if FINGERPRINT.fullmatch(folder.name) and folder != kept:
                shutil.rmtree(folder)
    return CurrentBundle(bundle, registered.version)


def verify_candidate(folder: Path, **expected: Unpack[Expectations]) -> VerifiedBundle:
    """As `verify_bundle`, but a bundle whose signed decision refused it, or allows another phase, passes too.

    `verify_bundle` asks about the promotion last: where it alone refuses, and the decision can be read and is about
    exactly this content, all the rest was proved before.

    Raises:
        BundleRefused: or one of its kinds, as `verify_bundle`.
    """
    try:
        return verify_bundle(folder, **expected)
    except DecisionRefused as refusal:
        # Proved again, so that another order of the checks over there could never let an unsigned one pass here.
        require_complete(folder, files=bundle_files(folder))
        verify_folder(folder, public_keys=expected["public_keys"])
        contract, decision, content = read_contract(folder), read_decision(folder), fingerprint(folder)
        if (decision.candidate_fingerprint, decision.provenance) != (content, contract.provenance):
            raise refusal
    return VerifiedBundle(
        folder=folder, contract=contract, decision=decision, report=read_report(folder), fingerprint=content
    )


def _require_content(bundle: VerifiedBundle, wanted: str) -> VerifiedBundle:
    if bundle.fingerprint != wanted:
        raise HashMismatch(
            f"The candidate in {bundle.folder} is {bundle.fingerprint[:12]}, {wanted[:12]} was named. Bring the "
            "candidate here again, and find out who changed it."
        )
    return bundle
