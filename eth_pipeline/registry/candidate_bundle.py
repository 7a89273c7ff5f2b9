"""From a trained candidate to its bundle on disk: the runtime contract and the data versions.

Belongs here: assembling what `registry.bundle` writes. Does not belong: training, gates, signing.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import cast, get_args

from eth_pipeline.contracts.artifact import (
    DataVersions,
    FeatureInput,
    HorizonModel,
    Provenance,
    RuntimeContract,
    feature_schema_digest,
)
from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.models.candidate import Candidate
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.registry.bundle import write_bundle
from eth_pipeline.settings import Settings


def write_candidate(
    folder: Path,
    *,
    candidate: Candidate,
    training_set: TrainingSet,
    settings: Settings,
    definition_version: str,
    versions: dict[str, int],
    code_commit: str,
    lock_digest: str,
    created_at: datetime,
) -> str:
    """Write the unsigned bundle of `candidate` to `folder` and return its fingerprint.

    Args:
        definition_version: version of the feature definitions the candidate was trained on.
        versions: lake versions of `features` and `labels` as read for training.
        created_at: exchange time of training; the bundle expires `gates.bundle_valid_days` later.
    """
    contract = RuntimeContract(
        symbol=settings.symbol,
        base_interval=settings.base_interval,
        created_at=created_at,
        expires_at=created_at + timedelta(days=settings.gates.bundle_valid_days),
        trained_until=candidate.trained_until,
        provenance=_provenance(training_set.provenance),
        code_commit=code_commit,
        lock_digest=lock_digest,
        feature_schema=feature_schema_digest(
            candidate.feature_names, base_interval=settings.base_interval, definition_version=definition_version
        ),
        inputs=tuple(
            FeatureInput(name=name, lower=bounds[0] if bounds else None, upper=bounds[1] if bounds else None)
            for name, bounds in zip(candidate.feature_names, candidate.feature_bounds, strict=True)
        ),
        models=tuple(
            HorizonModel(
                horizon_hours=model.horizon_hours,
                file=_file_name(candidate.algorithm, model.horizon_hours),
                algorithm=candidate.algorithm,
                input_name=model.input_name,
                output_name=model.output_name,
                calibration_slope=model.calibration_slope,
                calibration_intercept=model.calibration_intercept,
                long_threshold=model.long_threshold,
                short_threshold=model.short_threshold,
            )
            for model in candidate.models
        ),
        opset=candidate.opset,
    )
    rows = int(training_set.features.shape[0])
    data = DataVersions(
        lake=settings.lake_location,
        versions=versions,
        rows=dict.fromkeys(versions, rows),
        first_decision_time=candidate.report.first_decision_time,
        last_decision_time=candidate.trained_until,
        digest=training_set.digest(),
    )
    models = {_file_name(candidate.algorithm, m.horizon_hours): m.onnx for m in candidate.models}
    return write_bundle(folder, contract=contract, models=models, report=candidate.report, data=data)


def _file_name(algorithm: str, horizon_hours: int) -> str:
    return f"{algorithm}_{horizon_hours}h.onnx"


def _provenance(value: str) -> Provenance:
    for known in get_args(Provenance):
        if value == known:
            return cast(Provenance, known)
    raise ProvenanceMismatch(f"The training set's provenance is {value!r}; expected one of {get_args(Provenance)}.")
