"""Every error this package raises on purpose, in one tree that says who acts.

Belongs here: exception classes, nothing else. Does not belong: handling, logging, retry policy.

    EthPipelineError
    ├── RetryLater                  time cures it; nobody has to act
    │   ├── ExchangeUnavailable     timeout, connection refused, 5xx, truncated body
    │   ├── RateLimited             429: honour `retry_after_seconds`
    │   ├── Banned                  418: honour `retry_after_seconds`, remembered across processes
    │   ├── CircuitOpen             the breaker of this endpoint is open; no request was sent
    │   ├── InferenceUnavailable    the inference service gave no usable answer; the local bundle forecasts
    │   ├── RegistryUnavailable     MLflow does not answer
    │   └── RegistryMoved           production moved while a promotion was under way; nothing was moved by it
    └── NeedsHuman                  retrying cannot help; the message says what to do
        ├── RequestRefused          4xx: the request itself is wrong
        ├── InferenceRefused        inference service and client disagree: token, fingerprint, shape of a message
        ├── RegionRestricted        451 or 403: this host may not ask
        ├── SettingsInvalid         a setting is missing or contradicts another
        ├── ContractViolation       rows or files break a contract of `eth_pipeline.contracts`
        ├── ChecksumMismatch        an archive file is not what its .CHECKSUM says
        ├── ProvenanceMismatch      data of two origins would be mixed
        ├── BundleRefused           a model bundle may not be loaded
        │   ├── BundleAbsent        nothing was promoted, or it was not brought to this host
        │   ├── SignatureRefused    missing, broken or foreign signature
        │   ├── HashMismatch        a file is not the one that was signed
        │   ├── SchemaMismatch      bundle and running feature code disagree
        │   ├── BundleExpired       past its `expires_at`
        │   ├── DecisionRefused     no passing promotion decision for this phase
        │   ├── ModelRefused        a model file is not what the contract says, or does what none may do
        │   └── ArchiveRefused      an archive is not one that `bundle export` writes
        ├── TransferRefused         what came across the air gap may not be used; nothing of it was kept
        │   ├── TransferDowngraded  older than what was imported before
        │   └── SnapshotUnknown     candidates of a training snapshot that this host never exported
        ├── ParityFailed            the ONNX export is not the model it came from
        └── SignalBlocked           the gate refused this hour; the reasons are in the message
"""


class EthPipelineError(Exception):
    """Base class: the message says what happened, why, and what to do."""


class RetryLater(EthPipelineError):
    """Time cures it. `retry_after_seconds` is None where the other side named no time."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ExchangeUnavailable(RetryLater):
    """The exchange gave no usable answer; the outcome is unknown and a GET may be sent again."""


class RateLimited(RetryLater):
    """HTTP 429: the shared request budget is spent."""


class Banned(RetryLater):
    """HTTP 418: this address is banned until `retry_after_seconds` have passed."""


class CircuitOpen(RetryLater):
    """The circuit breaker of the endpoint is open; nothing was sent."""


class InferenceUnavailable(RetryLater):
    """The inference service gave no usable answer; the local bundle forecasts instead."""


class RegistryUnavailable(RetryLater):
    """The model registry does not answer; the last verified bundle stays in use."""


class RegistryMoved(RetryLater):
    """Production moved between the decision and its execution; the decision was about another champion."""


class NeedsHuman(EthPipelineError):
    """Retrying cannot help."""


class RequestRefused(NeedsHuman):
    """The exchange refused the request itself (HTTP 4xx)."""


class InferenceRefused(NeedsHuman):
    """The inference service and its client disagree: about the token, the bundle, or the shape of a message."""


class RegionRestricted(NeedsHuman):
    """HTTP 451 or 403: this host may not use the REST API; the archive is usually still reachable."""


class SettingsInvalid(NeedsHuman):
    """A setting is missing, malformed or contradicts another."""


class ContractViolation(NeedsHuman):
    """Rows or files break a contract."""


class ChecksumMismatch(NeedsHuman):
    """An archive file does not match its published sha256."""


class ProvenanceMismatch(NeedsHuman):
    """Data of two origins (binance, replay, simulated) would be mixed."""


class BundleRefused(NeedsHuman):
    """A model bundle may not be loaded."""


class BundleAbsent(BundleRefused):
    """There is no production bundle: none was promoted, or it was not brought to this host yet."""


class SignatureRefused(BundleRefused):
    """The signature is missing, broken, or made with a key that is not pinned."""


class HashMismatch(BundleRefused):
    """A file of the bundle is missing, added or changed since it was signed."""


class SchemaMismatch(BundleRefused):
    """The bundle's inputs are not the features that the running code computes."""


class BundleExpired(BundleRefused):
    """The bundle is past its expiry."""


class DecisionRefused(BundleRefused):
    """The bundle carries no promotion decision that allows this phase."""


class ModelRefused(BundleRefused):
    """An ONNX file contradicts the runtime contract, or has custom operators, external data or functions."""


class ArchiveRefused(BundleRefused):
    """An archive holds members that no bundle has, or more than it may; nothing of it was kept."""


class TransferRefused(NeedsHuman):
    """A snapshot or a collection of candidates from another host may not be imported; nothing of it was kept."""


class TransferDowngraded(TransferRefused):
    """It is older than what was imported before."""


class SnapshotUnknown(TransferRefused):
    """The candidates name a training snapshot that this host never exported."""


class ParityFailed(NeedsHuman):
    """The exported ONNX model does not reproduce the model it came from."""


class SignalBlocked(NeedsHuman):
    """The gate verdict for an hour is `blocked`."""
