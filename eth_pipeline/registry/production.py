"""The production bundle on this host: fetched from the registry, verified, pointed at; loaded without MLflow.

Belongs here: the folder `<home>/production`. Does not belong: the checks (`registry.verification`), moving aliases
(`registry.promotion`, `registry.rollback`).

    production/
      <fingerprint>/     a bundle, verified before it got this name
      current            JSON Pointer: which of them is in use
      previous           JSON Pointer: the one before

`current_bundle` is the hourly path: it never imports MLflow, needs no network, and verifies at every load.
"""

import shutil
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Unpack

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.errors import BundleAbsent, BundleRefused, DecisionRefused, HashMismatch
from eth_pipeline.registry.atomic import exclusive, replace_text
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegisteredVersion, RegistryStore
from eth_pipeline.registry.verification import FINGERPRINT, Expectations, VerifiedBundle, verify_bundle

CURRENT = "current"
PREVIOUS = "previous"


class Pointer(BaseModel):
    """What `current` and `previous` hold; the folder is relative to `<home>/production`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    fingerprint: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    folder: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    verified_at: AwareDatetime


class CurrentBundle(NamedTuple):
    """The bundle in use and the registry version it came from."""

    bundle: VerifiedBundle
    version: str


def materialize_production(store: RegistryStore, *, home: Path, **expected: Unpack[Expectations]) -> VerifiedBundle:
    """Bring the version that the alias `production` names to this host and use it from now on.

    Whatever fails, the old pointer stays and the old bundle with it.

    Raises:
        BundleRefused: no production version, or one of its kinds: the version is not what it should be.
        RegistryUnavailable: MLflow does not answer.
    """
    registered = store.production()
    if registered is None:
        raise BundleAbsent(
            f"No version of {store.model_name} has the alias `{PRODUCTION}`. Promote a candidate; until then signals "
            "run without a model."
        )
    bundle = fetch_verified(store, registered, home=home, **expected)
    point_to(bundle, version=registered.version, home=home, verified_at=expected["now"])
    return bundle


def current_bundle(*, home: Path, **expected: Unpack[Expectations]) -> CurrentBundle:
    """Verify and return the bundle that `current` names, from local files alone.

    Raises:
        BundleRefused: there is none, or one of its kinds: it may not be loaded now.
    """
    found = pointer(home)
    if found is None:
        raise BundleAbsent(
            f"no production bundle on this host: {home / 'production' / CURRENT} does not exist. Promote a candidate "
            "and materialize `production_bundle`."
        )
    bundle = verify_bundle(home / "production" / found.folder, **expected)
    if bundle.fingerprint != found.fingerprint:
        raise HashMismatch(
            f"The bundle in {bundle.folder} is {bundle.fingerprint[:12]}, another one than its name says. Materialize "
            "`production_bundle` again, and find out who wrote there."
        )
    return CurrentBundle(bundle, found.version)


def fetch_verified(
    store: RegistryStore, registered: RegisteredVersion, *, home: Path, **expected: Unpack[Expectations]
) -> VerifiedBundle:
    """Verify a version and keep it as `<home>/production/<fingerprint>`; the pointer is not moved.

    A copy that is kept already, and still verifies as what the registry names, is not downloaded again.

    Raises:
        DecisionRefused: the version's tags name another content or decision than the bundle holds.
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
        _require_named(arrived, registered)
        if kept.exists():
            kept.rename(Path(scratch) / "replaced")
        arrived.folder.rename(kept)
        return replace(arrived, folder=kept)


def point_to(bundle: VerifiedBundle, *, version: str, home: Path, verified_at: datetime) -> None:
    """Let `current` name `bundle`; keep the one it named before as `previous`, and remove older ones."""
    root = home / "production"
    with exclusive(root / ".lock"):
        old = _pointer_or_none(home, CURRENT)
        new = Pointer(
            version=version, fingerprint=bundle.fingerprint, folder=bundle.folder.name, verified_at=verified_at
        )
        if old is not None and old.fingerprint != new.fingerprint:
            replace_text(root / PREVIOUS, old.model_dump_json(indent=2) + "\n")
        replace_text(root / CURRENT, new.model_dump_json(indent=2) + "\n")
        before = _pointer_or_none(home, PREVIOUS)
        _remove_others(root, keep={new.folder, before.folder if before else new.folder})


def pointer(home: Path, *, name: str = CURRENT) -> Pointer | None:
    """What `current` (or `previous`) names, None where it names nothing; proves nothing about the bundle.

    Raises:
        BundleRefused: the file is there and is no pointer.
    """
    path = home / "production" / name
    try:
        return Pointer.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BundleRefused(
            f"{path} does not name a production bundle: {error}. Materialize `production_bundle` again."
        ) from error


def _pointer_or_none(home: Path, name: str) -> Pointer | None:
    """A pointer that is about to be replaced may be damaged; that must not keep a good bundle out."""
    try:
        return pointer(home, name=name)
    except BundleRefused:
        return None


def _require_named(bundle: VerifiedBundle, registered: RegisteredVersion) -> VerifiedBundle:
    held = (bundle.fingerprint, bundle.decision.decision_id)
    if held != (registered.fingerprint, registered.decision_id):
        raise DecisionRefused(
            f"Version {registered.version} is tagged with bundle {registered.fingerprint[:12]} and decision "
            f"{registered.decision_id!r}, but holds {held[0][:12]} and {held[1]!r}: its tags or files were changed by "
            "hand. Roll back, or promote again."
        )
    return bundle


def _remove_others(root: Path, *, keep: set[str]) -> None:
    for folder in root.iterdir():
        if FINGERPRINT.fullmatch(folder.name) and folder.name not in keep:
            shutil.rmtree(folder)
