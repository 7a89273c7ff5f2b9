"""Do the registry's production alias, the promotion log and the bundle on this host name the same thing?

Belongs here: the comparison. Does not belong: curing it (`registry.rollback`, `registry.production`).
"""

from dataclasses import dataclass
from pathlib import Path

from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.production import pointer
from eth_pipeline.registry.promotion_log import PromotionLog


@dataclass(frozen=True)
class AliasCheck:
    """Sentences about what disagrees; none means consistent."""

    disagreements: tuple[str, ...]

    @property
    def consistent(self) -> bool:
        """True when nothing disagrees."""
        return not self.disagreements


def check_alias(store: RegistryStore, log: PromotionLog, *, home: Path) -> AliasCheck:
    """Compare the three; nothing is changed.

    Raises:
        RegistryUnavailable: MLflow does not answer.
        ContractViolation: the promotion log is broken.
        BundleRefused: the alias names a version that this system did not register.
    """
    production, here = store.production(), pointer(home)
    moves = [entry for entry in log.verify() if entry.action in ("promoted", "rolled_back")]
    logged = moves[-1].version if moves else None
    registered = production.version if production else None
    running = here.version if here else None
    found: list[str] = []
    if registered != logged:
        found.append(
            f"The production alias names version {registered or 'none'}, the promotion log says {logged or 'none'}: "
            "the alias was moved by another hand. Roll back, or promote again."
        )
    if (production.fingerprint if production else None) != (here.fingerprint if here else None):
        found.append(
            f"This host runs version {running or 'none'}, the registry's production is version {registered or 'none'}. "
            "Materialize `production_bundle`."
        )
    return AliasCheck(tuple(found))
