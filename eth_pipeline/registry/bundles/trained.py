"""A trained algorithm on disk, between the run that trained it and the bundle it goes into.

Belongs here: its record, saving and loading it whole. Does not belong: training (`models.candidate`), the bundle
(`candidate_bundle`). These folders are never loaded for a signal; only a signed bundle is.

    folder/
      trained.json     TrainedRecord: what it is, on which data, how well
      oof.parquet      out-of-fold forecasts, `walk_forward.OOF_SCHEMA`
      drift.json       what newest rows are compared with
      *.onnx           files that the record's models name
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from eth_pipeline.contracts.artifact import DRIFT, HorizonModel
from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.candidate import Bounds, Candidate
from eth_pipeline.models.cloud import make_cloud
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.drift import DriftReference, make_drift_reference
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.atomic import replaced_folder

RECORD = "trained.json"
OOF = "oof.parquet"


class TrainedRecord(BaseModel):
    """What a trained algorithm is; `versions` are the lake versions of the tables it was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    symbol: str
    provenance: str
    rows: int
    versions: dict[str, int]
    trained_until: AwareDatetime
    opset: int
    feature_names: tuple[str, ...]
    feature_bounds: tuple[Bounds, ...]
    parameters_digest: str
    training_digest: str
    models: tuple[HorizonModel, ...]
    report: EvaluationReport


@dataclass(frozen=True)
class TrainedModel:
    """A record with its ONNX files by name and its out-of-fold forecasts."""

    record: TrainedRecord
    files: Mapping[str, bytes]
    oof: pl.DataFrame
    drift: DriftReference | None = None


def trained_model(candidate: Candidate, data: TrainingSet, *, versions: Mapping[str, int]) -> TrainedModel:
    """A candidate as it is kept; a network whose horizons share their bytes gets one file."""
    shared = len({model.onnx for model in candidate.models}) == 1 and len(candidate.models) > 1
    files: dict[str, bytes] = {}
    models = []
    for model in candidate.models:
        name = f"{candidate.algorithm}.onnx" if shared else f"{candidate.algorithm}_{model.horizon_hours}h.onnx"
        files[name] = model.onnx
        models.append(
            HorizonModel(
                horizon_hours=model.horizon_hours,
                file=name,
                algorithm=candidate.algorithm,
                input_name=model.input_name,
                output_name=model.output_name,
                window_hours=candidate.window_hours,
                calibration_slope=model.calibration_slope,
                calibration_intercept=model.calibration_intercept,
                long_threshold=model.long_threshold,
                short_threshold=model.short_threshold,
            )
        )
    record = TrainedRecord(
        algorithm=candidate.algorithm,
        symbol=data.symbol,
        provenance=data.provenance,
        rows=len(data.decision_time),
        versions=dict(versions),
        trained_until=candidate.trained_until,
        opset=candidate.opset,
        feature_names=candidate.feature_names,
        feature_bounds=candidate.feature_bounds,
        parameters_digest=candidate.parameters_digest,
        training_digest=candidate.training_digest,
        models=tuple(models),
        report=candidate.report,
    )
    return TrainedModel(record, files, candidate.oof, _drift_reference(data))


def _drift_reference(data: TrainingSet) -> DriftReference | None:
    """What newest rows are compared with; None where the history is too short to know what a week may look like."""
    try:
        cloud = make_cloud(data.features)
        return make_drift_reference(data.features, names=data.feature_names, cloud=cloud)
    except ContractViolation:
        return None


def save_trained(folder: Path, model: TrainedModel) -> None:
    """Write `model` to `folder`, all or nothing; a folder that is there is replaced."""
    with replaced_folder(folder) as unfinished:
        for name, content in model.files.items():
            (unfinished / name).write_bytes(content)
        model.oof.write_parquet(unfinished / OOF)
        if model.drift is not None:
            (unfinished / DRIFT).write_text(model.drift.model_dump_json() + "\n", encoding="utf-8")
        (unfinished / RECORD).write_text(model.record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_trained(folder: Path) -> TrainedModel:
    """Read what `save_trained` wrote.

    Raises:
        ContractViolation: a part is missing or not in the expected shape.
    """
    try:
        record = TrainedRecord.model_validate_json((folder / RECORD).read_bytes())
        files = {model.file: (folder / Path(model.file).name).read_bytes() for model in record.models}
        stored = folder / DRIFT
        drift = DriftReference.model_validate_json(stored.read_bytes()) if stored.exists() else None
        return TrainedModel(record, files, pl.read_parquet(folder / OOF), drift)
    except (OSError, ValidationError, pl.exceptions.PolarsError) as error:
        raise ContractViolation(
            f"{folder} holds no trained model that this code reads: {error}. Train it again."
        ) from error
