"""From trained algorithms to the bundle on disk: the runtime contract and the data versions.

Belongs here: assembling what `bundle` writes. Does not belong: training, gates, signing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast, get_args

from eth_pipeline.contracts.artifact import (
    DataVersions,
    FeatureInput,
    Provenance,
    QuantileModel,
    RegimeModel,
    RuntimeContract,
    StackModel,
)
from eth_pipeline.errors import ContractViolation, ProvenanceMismatch
from eth_pipeline.models.stacking import Stack
from eth_pipeline.registry.bundles.bundle import write_bundle
from eth_pipeline.registry.bundles.trained import TrainedModel
from eth_pipeline.settings import Settings


@dataclass(frozen=True)
class Companions:
    """What goes into a bundle beside the primary.

    Attributes:
        members: further algorithms, trained on the same rows and inputs.
        stack: over the primary and the members.
        quantiles: per horizon.
        regime: state of the market.
        files: ONNX bytes of quantiles and regime by file name.
    """

    members: tuple[TrainedModel, ...] = ()
    stack: Stack | None = None
    quantiles: tuple[QuantileModel, ...] = ()
    regime: RegimeModel | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def write_candidate(
    folder: Path,
    *,
    primary: TrainedModel,
    companions: Companions = Companions(),  # frozen and empty
    settings: Settings,
    feature_schema: str,
    code_commit: str,
    lock_digest: str,
    created_at: datetime,
) -> str:
    """Write the unsigned bundle of a candidate to `folder` and return its fingerprint.

    Args:
        primary: whose forecasts act; its report is the one that is judged.
        companions: further models of the bundle.
        feature_schema: digest of the features table that the running code computes.
        created_at: exchange time of training; the bundle expires `gates.bundle_valid_days` later.

    Raises:
        ContractViolation: a member was trained on other rows or inputs than the primary.
        ProvenanceMismatch: the training data's origin is none that the system knows.
    """
    record = primary.record
    for member in companions.members:
        _require_same_data(primary, member)
    contract = RuntimeContract(
        symbol=settings.symbol,
        base_interval=settings.base_interval,
        created_at=created_at,
        expires_at=created_at + timedelta(days=settings.gates.bundle_valid_days),
        trained_until=max(each.record.trained_until for each in (primary, *companions.members)),
        provenance=_provenance(record.provenance),
        code_commit=code_commit,
        lock_digest=lock_digest,
        feature_schema=feature_schema,
        inputs=tuple(
            FeatureInput(name=name, lower=bounds[0] if bounds else None, upper=bounds[1] if bounds else None)
            for name, bounds in zip(record.feature_names, record.feature_bounds, strict=True)
        ),
        primary_algorithm=record.algorithm,
        models=tuple(model for each in (primary, *companions.members) for model in each.record.models),
        stacks=_stacks(companions.stack),
        quantiles=companions.quantiles,
        regime=companions.regime,
        opset=max(each.record.opset for each in (primary, *companions.members)),
    )
    data = DataVersions(
        lake=settings.lake_location,
        versions=record.versions,
        rows=dict.fromkeys(record.versions, record.rows),
        first_decision_time=record.report.first_decision_time,
        last_decision_time=record.trained_until,
        digest=record.training_digest,
    )
    files = {name: content for each in (primary, *companions.members) for name, content in each.files.items()}
    return write_bundle(
        folder,
        contract=contract,
        models={**files, **companions.files},
        report=record.report,
        data=data,
        drift=primary.drift,
    )


def _require_same_data(primary: TrainedModel, member: TrainedModel) -> None:
    ours, theirs = primary.record, member.record
    if (ours.training_digest, ours.feature_names) != (theirs.training_digest, theirs.feature_names):
        raise ContractViolation(
            f"{theirs.algorithm} was trained on training set {theirs.training_digest[:12]}, the primary "
            f"{ours.algorithm} on {ours.training_digest[:12]}. Train both on the same lake versions."
        )


def _stacks(stack: Stack | None) -> tuple[StackModel, ...]:
    return tuple(
        StackModel(
            horizon_hours=weights.horizon_hours,
            algorithms=weights.algorithms,
            coefficients=weights.coefficients,
            intercept=weights.intercept,
            rows=weights.rows,
            long_threshold=weights.long_threshold,
            short_threshold=weights.short_threshold,
        )
        for weights in (stack.weights if stack else ())
    )


def _provenance(value: str) -> Provenance:
    for known in get_args(Provenance):
        if value == known:
            return cast(Provenance, known)
    raise ProvenanceMismatch(f"The training set's provenance is {value!r}; expected one of {get_args(Provenance)}.")
