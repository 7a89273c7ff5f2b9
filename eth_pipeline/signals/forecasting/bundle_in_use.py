"""The production bundle as the running code needs it: verified, and trained on the features that it computes.

Belongs here: what is expected of a bundle here and now. Does not belong: verifying (`registry.bundles.verification`),
finding (`registry.promotions.production`), forecasting with it (`forecast`).
"""

from datetime import datetime

from eth_pipeline.contracts.artifact import feature_schema_digest
from eth_pipeline.features.catalogue import DEFINITION_VERSION, feature_names
from eth_pipeline.registry.bundles.verification import Expectations
from eth_pipeline.registry.promotions.production import CurrentBundle, current_bundle
from eth_pipeline.settings import Settings


def production_bundle(settings: Settings, *, now: datetime) -> CurrentBundle:
    """The bundle in use on this host, verified against the running feature code.

    Raises:
        BundleRefused: or one of its kinds.
    """
    return current_bundle(home=settings.home, **expectations(settings, now=now))


def expectations(settings: Settings, *, now: datetime) -> Expectations:
    """What a bundle must satisfy to be loaded here and now."""
    return Expectations(
        public_keys=settings.public_key_paths,
        phase=settings.phase,
        now=now,
        feature_schema=running_schema(settings),
        base_interval=settings.base_interval,
        symbol=settings.symbol,
    )


def running_schema(settings: Settings) -> str:
    """Digest of the features that the running code computes; a bundle must have been trained on the same."""
    return feature_schema_digest(
        feature_names(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        base_interval=settings.base_interval,
        definition_version=DEFINITION_VERSION,
    )
