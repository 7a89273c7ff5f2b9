"""The production bundle as one service process holds it: verified, on the best device, replaced when the pointer moves.

Belongs here: loading, reloading, refusing. Does not belong: HTTP (`application`), the checks themselves
(`registry.bundles.verification`).
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from eth_pipeline.contracts.artifact import expired
from eth_pipeline.contracts.clock import Clock, iso
from eth_pipeline.errors import BundleExpired, BundleRefused
from eth_pipeline.registry.promotions.production import Pointer, pointer
from eth_pipeline.serving.probe import Probe, make_probe
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import production_bundle
from eth_pipeline.signals.forecasting.forecast import CPU, BundleForecaster, Providers

_CUDA = "CUDAExecutionProvider"
_ASK_AGAIN = timedelta(seconds=10)  # a refused bundle is not verified again for every request that comes in


@dataclass(frozen=True)
class LoadedBundle:
    """One verified bundle in memory, and the pointer that named it."""

    forecaster: BundleForecaster
    probe: Probe
    pointer: Pointer | None


@dataclass(frozen=True)
class _Refusal:
    """Why the bundle that `pointer` names is not served, and since when."""

    error: BundleRefused
    pointer: Pointer | None
    at: datetime


class ServedBundle:
    """Whatever `<home>/production/current` names, verified at every move of that pointer; thread-safe.

    Args:
        settings: home, keys, phase and features, as the hourly run has them.
        clock: exchange time; the expiry is checked at every use.
        providers: ONNX Runtime execution providers; None takes the GPU where there is one.
    """

    def __init__(self, settings: Settings, *, clock: Clock, providers: Providers | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._providers = best_providers() if providers is None else providers
        self._lock = threading.Lock()
        self._loaded: LoadedBundle | None = None
        self._refusal: _Refusal | None = None

    def current(self) -> LoadedBundle:
        """The bundle to answer with now.

        After a move to a bundle that is refused nothing is served: the client would refuse an answer of the old one.

        Raises:
            BundleRefused: or one of its kinds: none, expired, or refused by a check.
        """
        now = self._clock.now()
        with self._lock:
            named = pointer(self._settings.home)
            if self._loaded is None or self._loaded.pointer != named:
                self._loaded = None
                self._loaded = self._load(named, now=now)
            loaded = self._loaded
        contract = loaded.forecaster.info.contract
        if expired(contract, now=now):
            raise BundleExpired(
                f"The served bundle expired at {iso(contract.expires_at)} and it is {iso(now)}. Promote a new one."
            )
        return loaded

    def _load(self, named: Pointer | None, *, now: datetime) -> LoadedBundle:
        before = self._refusal
        if before is not None and before.pointer == named and now - before.at < _ASK_AGAIN:
            raise type(before.error)(str(before.error))
        try:
            bundle, version = production_bundle(self._settings, now=now)
            loaded = LoadedBundle(
                forecaster=BundleForecaster(bundle, version=version, providers=self._providers),
                probe=make_probe(bundle, settings=self._settings, now=now),
                pointer=named,
            )
        except BundleRefused as error:
            self._refusal = _Refusal(error, named, now)
            raise
        self._refusal = None
        return loaded


def best_providers() -> Providers:
    """The GPU where ONNX Runtime has it, then the CPU. Without TF32, whose 10-bit mantissa would break parity."""
    import onnxruntime

    if _CUDA in onnxruntime.get_available_providers():
        return ((_CUDA, {"use_tf32": "0"}), *CPU)
    return CPU
