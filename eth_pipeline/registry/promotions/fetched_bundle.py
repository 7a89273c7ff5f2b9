"""A registered version brought to this host: downloaded, verified, and only then given its name in the local copy.

Belongs here: fetching one version. Does not belong: which one, and what names it here (`production`).
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from eth_pipeline.errors import BundleRefused, DecisionRefused
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.registry.bundles.onnx_graph import require_sound_models
from eth_pipeline.registry.bundles.verification import Expectations, VerifiedBundle, verify_bundle
from eth_pipeline.registry.mlflow_store import RegisteredVersion, RegistryStore


def fetch_verified(
    store: RegistryStore, registered: RegisteredVersion, *, home: Path, **expected: Unpack[Expectations]
) -> VerifiedBundle:
    """Verify a version and keep it as `<home>/production/<fingerprint>`; the pointer is not moved.

    A copy that is kept already, and still verifies as what the registry names, is not downloaded again.

    Raises:
        DecisionRefused: the version's tags name another content or decision than the bundle holds.
        ModelRefused: a model file is not what the contract says, or may not run here.
        BundleRefused: or one of its kinds, as `verify_bundle`.
        RegistryUnavailable: MLflow does not answer.
    """
    root = home / "production"
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root / ".lock"), tempfile.TemporaryDirectory(dir=root, prefix=".incoming-") as scratch:
        kept = root / registered.fingerprint
        try:
            return _require_named(verify_bundle(kept, **expected), registered)
        except BundleRefused:
            pass  # absent or no longer good: the registry's copy is judged instead
        arrived = verify_bundle(store.download(registered.version, Path(scratch)), **expected)
        require_sound_models(arrived.folder, arrived.contract)
        _require_named(arrived, registered)
        if kept.exists():
            kept.rename(Path(scratch) / "replaced")
        arrived.folder.rename(kept)
        return replace(arrived, folder=kept)


def _require_named(bundle: VerifiedBundle, registered: RegisteredVersion) -> VerifiedBundle:
    held = (bundle.fingerprint, bundle.decision.decision_id)
    if held != (registered.fingerprint, registered.decision_id):
        raise DecisionRefused(
            f"Version {registered.version} is tagged with bundle {registered.fingerprint[:12]} and decision "
            f"{registered.decision_id!r}, but holds {held[0][:12]} and {held[1]!r}: its tags or files were changed by "
            "hand. Roll back, or promote again."
        )
    return bundle
