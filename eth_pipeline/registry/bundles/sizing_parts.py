"""Quantile and regime models on disk, between the run that trained them and the bundle they go into.

Belongs here: their record, saving and loading it whole. Does not belong: training (`models.sizing.quantile`,
`models.sizing.regime`), the bundle (`candidate_bundle`).

    folder/
      sizing.json     SizingRecord: the contract of each model, the data it was trained on
      *.onnx          files that the record's models name
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from eth_pipeline.contracts.artifact import QuantileModel, RegimeModel
from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.sizing.quantile import TrainedQuantiles
from eth_pipeline.models.sizing.regime import TrainedRegime
from eth_pipeline.registry.atomic import replaced_folder

RECORD = "sizing.json"
_REGIME_FILE = "regime.onnx"


class SizingRecord(BaseModel):
    """Contracts of the models and the training set that all of them learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_digest: str
    feature_names: tuple[str, ...]
    quantiles: tuple[QuantileModel, ...] = ()
    regime: RegimeModel | None = None


@dataclass(frozen=True)
class SizingParts:
    """A record with its ONNX files by name."""

    record: SizingRecord
    files: Mapping[str, bytes]


def quantile_parts(trained: TrainedQuantiles, data: TrainingSet, *, training_digest: str) -> SizingParts:
    """Quantile models as they are kept."""
    named = {f"quantile_{model.horizon_hours}h.onnx": model for model in trained.models}
    record = SizingRecord(
        training_digest=training_digest,
        feature_names=data.feature_names,
        quantiles=tuple(model.contract(file=name) for name, model in named.items()),
    )
    return SizingParts(record, {name: model.onnx.onnx for name, model in named.items()})


def regime_parts(trained: TrainedRegime, data: TrainingSet, *, training_digest: str) -> SizingParts:
    """The regime model as it is kept."""
    record = SizingRecord(
        training_digest=training_digest,
        feature_names=data.feature_names,
        regime=trained.contract(file=_REGIME_FILE),
    )
    return SizingParts(record, {_REGIME_FILE: trained.onnx.onnx})


def save_sizing(folder: Path, parts: SizingParts) -> None:
    """Write `parts` to `folder`, all or nothing; a folder that is there is replaced."""
    with replaced_folder(folder) as unfinished:
        for name, content in parts.files.items():
            (unfinished / name).write_bytes(content)
        (unfinished / RECORD).write_text(parts.record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_sizing(folder: Path) -> SizingParts:
    """Read what `save_sizing` wrote.

    Raises:
        ContractViolation: a part is missing or not in the expected shape.
    """
    try:
        record = SizingRecord.model_validate_json((folder / RECORD).read_bytes())
        models = (*record.quantiles, *((record.regime,) if record.regime else ()))
        return SizingParts(record, {m.file: (folder / Path(m.file).name).read_bytes() for m in models})
    except (OSError, ValidationError) as error:
        raise ContractViolation(
            f"{folder} holds no sizing models that this code reads: {error}. Train again."
        ) from error
