"""The production bundle on this host: fetched from the registry, verified, pointed at; loaded without MLflow.

Belongs here: the folder `<home>/production`. Does not belong: bringing a version there (`fetched_bundle`), the
checks (`registry.bundles.verification`), moving aliases (`promotion`, `rollback`).

    production/
      <fingerprint>/     a bundle, verified before it got this name
      current            JSON Pointer: which of them is in use
      previous           JSON Pointer: the one before
      kept               JSON list of Pointers, newest first: where a rollback without the registry can return to

`current_bundle` is the hourly path: it never imports MLflow, needs no network, and verifies at every load.
"""

import shutil
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Unpack

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from eth_pipeline.errors import BundleAbsent, BundleRefused, HashMismatch, RegistryUnavailable
from eth_pipeline.registry.atomic import exclusive, replace_text
from eth_pipeline.registry.bundles.verification import FINGERPRINT, Expectations, VerifiedBundle, verify_bundle
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.mlflow_store import PRODUCTION, RegistryStore
from eth_pipeline.registry.promotions.fetched_bundle import fetch_verified
from eth_pipeline.registry.promotions.log_state import head_of, last_move
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.registry.promotions.settlement import follow, one_at_a_time, run_to_end, settle

CURRENT = "current"
PREVIOUS = "previous"
KEPT = "kept"
KEPT_BUNDLES = 5


class Pointer(BaseModel):
    """What `current` and `previous` hold; the folder is relative to `<home>/production`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    fingerprint: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    folder: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    verified_at: AwareDatetime
    log_head: str = Field("", description="Newest entry of the promotion log known then; a log without it was cut.")
    unreconciled: str = Field("", description="Why registry and host may differ; empty when they are known to agree.")


_KEPT_LIST = TypeAdapter(tuple[Pointer, ...])


class CurrentBundle(NamedTuple):
    """The bundle in use and the registry version it came from."""

    bundle: VerifiedBundle
    version: str


def materialize_production(store: RegistryStore, *, home: Path, **expected: Unpack[Expectations]) -> VerifiedBundle:
    """Bring the version that the alias `production` names to this host and use it from now on.

    What was recorded while the registry did not answer is carried out first. Where this home's log says another
    version, a person moved the alias: a version that verifies is adopted, and the log says so; any other is refused.
    Whatever fails, the old pointer stays and the old bundle with it.

    Raises:
        BundleRefused: no production version, or one of its kinds: the version is not what it should be.
        ContractViolation: this home's promotion log is broken or cut.
        RegistryUnavailable: MLflow does not answer; the pointer says so from now on.
    """
    log = PromotionLog.of(home)
    try:
        with one_at_a_time(log):
            governs = log.path.exists()
            if governs:
                settle(store, log, at=expected["now"])
            registered = store.production()
            if registered is None:
                raise BundleAbsent(
                    f"No version of {store.model_name} has the alias `{PRODUCTION}`. Promote a candidate; until then "
                    "signals run without a model."
                )
            bundle = fetch_verified(store, registered, home=home, **expected)
            if governs:
                _adopt(store, log, bundle, version=registered.version, at=expected["now"])
            head = head_of(log.verify()) if governs else store.anchor()
            point_to(bundle, version=registered.version, home=home, verified_at=expected["now"], log_head=head)
            return bundle
    except RegistryUnavailable as error:
        doubt(home, f"the registry did not answer when production was last asked for: {error}")
        raise


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


def point_to(
    bundle: VerifiedBundle,
    *,
    version: str,
    home: Path,
    verified_at: datetime,
    log_head: LogHead | None = None,
    unreconciled: str = "",
) -> None:
    """Let `current` name `bundle`; keep the one it named before as `previous`, and remove the oldest ones.

    Args:
        log_head: newest entry of the promotion log.
        unreconciled: why the registry may not know of this.
    """
    root = home / "production"
    with exclusive(root / ".lock"):
        old = pointer_or_none(home)
        new = Pointer(
            version=version,
            fingerprint=bundle.fingerprint,
            folder=bundle.folder.name,
            verified_at=verified_at,
            log_head=str(log_head or ""),
            unreconciled=unreconciled,
        )
        keep = _newest_kept(home, new)
        replace_text(root / KEPT, _KEPT_LIST.dump_json(keep, indent=2).decode() + "\n")
        if old is not None and old.fingerprint != new.fingerprint:
            replace_text(root / PREVIOUS, old.model_dump_json(indent=2) + "\n")
        replace_text(root / CURRENT, new.model_dump_json(indent=2) + "\n")
        _remove_others(root, keep={kept.folder for kept in keep})


def kept_bundles(home: Path) -> tuple[Pointer, ...]:
    """Bundles that were verified here and are still kept, the one in use first; prove each before use."""
    try:
        listed = _KEPT_LIST.validate_json((home / "production" / KEPT).read_bytes())
    except (OSError, ValidationError):  # lost or damaged: the two pointers say the same of the newest ones
        found = (pointer_or_none(home), pointer_or_none(home, name=PREVIOUS))
        return tuple(pointed for pointed in found if pointed is not None)
    return listed


def doubt(home: Path, reason: str) -> None:
    """Note on the pointer why registry and host may differ; the hourly run degrades by it. Empty clears it."""
    root = home / "production"
    with exclusive(root / ".lock"):
        current = pointer_or_none(home)
        if current is not None and current.unreconciled != reason:
            noted = current.model_copy(update={"unreconciled": reason})
            replace_text(root / CURRENT, noted.model_dump_json(indent=2) + "\n")


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


def pointer_or_none(home: Path, *, name: str = CURRENT) -> Pointer | None:
    """As `pointer`, None where it is damaged: one that is about to be replaced must not keep a good bundle out."""
    try:
        return pointer(home, name=name)
    except BundleRefused:
        return None


def _adopt(store: RegistryStore, log: PromotionLog, bundle: VerifiedBundle, *, version: str, at: datetime) -> None:
    """Record a move that a person made in the registry, and let `previous` and the anchor follow."""
    newest = last_move(log.verify())
    if newest is not None and newest.version == version:
        return
    was = newest.version if newest is not None else "none"
    log.append(
        decision=bundle.decision,
        version=version,
        run_id="registry",
        at=at,
        action="adopted",
        reason=f"the alias was moved by hand from version {was} to {version}; its bundle verified",
    )
    run_to_end(follow(store, log))


def _newest_kept(home: Path, new: Pointer) -> tuple[Pointer, ...]:
    """`new` first, then the others as they were, each bundle once."""
    others = [kept for kept in kept_bundles(home) if kept.fingerprint != new.fingerprint]
    return (new, *others)[:KEPT_BUNDLES]


def _remove_others(root: Path, *, keep: set[str]) -> None:
    for folder in root.iterdir():
        if FINGERPRINT.fullmatch(folder.name) and folder.name not in keep:
            shutil.rmtree(folder)
