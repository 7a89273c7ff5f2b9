"""Vintages on disk: one folder per algorithm and month, and which of them a past hour may ask.

Belongs here: saving, loading, naming, and bringing what older code stored into today's shape. Does not belong: training
(`models.vintages.vintage`) and scoring (`models.vintages.vintage_forecasts`). A vintage is for looking back; it is
never loaded for a live signal and needs no signature.      <home>/vintages/lightgbm/2024-05/vintage.json, *.onnx
"""

from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from eth_pipeline.contracts.artifact import HorizonModel, QuantileModel, RegimeModel
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.errors import ContractViolation
from eth_pipeline.lake import Lake
from eth_pipeline.models.candidate import TrainedHorizon
from eth_pipeline.models.vintages.vintage import Vintage
from eth_pipeline.models.vintages.vintage_sizing import VintageSizing
from eth_pipeline.registry.atomic import replaced_folder

RECORD = "vintage.json"
_SINCE_SIZING = ("quantiles", "regime", "input_coverage", "out_of_bounds_share")


class VintageRecord(BaseModel):
    """What a vintage is; see `models.vintage.Vintage` for the fields they share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: str
    cutoff: AwareDatetime
    trained_until: AwareDatetime
    feature_names: tuple[str, ...]
    feature_schema: str
    parameters_digest: str
    code_commit: str
    versions: dict[str, int]
    rows: dict[int, int]
    validation_auc: dict[int, float]
    models: tuple[HorizonModel, ...]
    quantiles: tuple[QuantileModel, ...] = ()
    regime: RegimeModel | None = None
    bounds: tuple[tuple[float, float] | None, ...] = ()

    @property
    def sized_by(self) -> str:
        """`quantiles`, or `conviction` where the vintage has none: those of before 2026-11-22."""
        return "quantiles" if self.quantiles else "conviction"


def vintage_folder(home: Path, *, algorithm: str, cutoff: datetime) -> Path:
    """Where the vintage of one month lives."""
    return home / "vintages" / algorithm / f"{cutoff:%Y-%m}"


def save_vintage(
    folder: Path, vintage: Vintage, *, feature_schema: str, code_commit: str, versions: dict[str, int]
) -> VintageRecord:
    """Write a vintage to `folder`, all or nothing; one that is there is replaced."""
    sizing = vintage.sizing
    record = VintageRecord(
        algorithm=vintage.algorithm,
        cutoff=vintage.cutoff,
        trained_until=vintage.trained_until,
        feature_names=vintage.feature_names,
        feature_schema=feature_schema,
        parameters_digest=vintage.parameters_digest,
        code_commit=code_commit,
        versions=versions,
        rows=dict(vintage.rows),
        validation_auc=dict(vintage.validation_auc),
        models=tuple(
            HorizonModel(
                horizon_hours=model.horizon_hours,
                file=f"{vintage.algorithm}_{model.horizon_hours}h.onnx",
                algorithm=vintage.algorithm,
                input_name=model.input_name,
                output_name=model.output_name,
                window_hours=vintage.window_hours,
                calibration_slope=model.calibration_slope,
                calibration_intercept=model.calibration_intercept,
                long_threshold=model.long_threshold,
                short_threshold=model.short_threshold,
            )
            for model in vintage.models
        ),
        quantiles=sizing.quantiles if sizing else (),
        regime=sizing.regime if sizing else None,
        bounds=sizing.bounds if sizing else (),
    )
    with replaced_folder(folder) as unfinished:
        for described, model in zip(record.models, vintage.models, strict=True):
            (unfinished / described.file).write_bytes(model.onnx)
        for name, content in (sizing.files if sizing else {}).items():
            (unfinished / name).write_bytes(content)
        (unfinished / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return record


def load_vintage(folder: Path, *, feature_schema: str) -> Vintage:
    """Read the vintage of `folder`.

    Args:
        feature_schema: digest of the features that the running code computes.

    Raises:
        ContractViolation: there is none, a part is missing, or it was trained on other features.
    """
    try:
        record = VintageRecord.model_validate_json((folder / RECORD).read_bytes())
        content = [(folder / Path(model.file).name).read_bytes() for model in record.models]
        sizing = _sizing(folder, record)
    except (OSError, ValidationError) as error:
        raise ContractViolation(
            f"{folder} holds no vintage that this code reads: {error}. Materialize `model_vintage` for this month."
        ) from error
    if record.feature_schema != feature_schema:
        raise ContractViolation(
            f"The vintage in {folder} was trained on features {record.feature_schema[:12]}, the running code computes "
            f"{feature_schema[:12]}. Materialize `model_vintage` for this month again."
        )
    return Vintage(
        algorithm=record.algorithm,
        cutoff=record.cutoff,
        window_hours=max(model.window_hours for model in record.models),
        models=tuple(
            TrainedHorizon(
                horizon_hours=model.horizon_hours,
                onnx=onnx,
                input_name=model.input_name,
                output_name=model.output_name,
                calibration_slope=model.calibration_slope,
                calibration_intercept=model.calibration_intercept,
                long_threshold=model.long_threshold,
                short_threshold=model.short_threshold,
            )
            for model, onnx in zip(record.models, content, strict=True)
        ),
        feature_names=record.feature_names,
        trained_until=record.trained_until,
        rows=record.rows,
        validation_auc=record.validation_auc,
        parameters_digest=record.parameters_digest,
        sizing=sizing,
    )


def upgrade_forecasts(lake: Lake) -> None:
    """Give `HISTORICAL_FORECASTS` of before 2026-11-22 the columns that size, empty; a newer table is left alone.

    Those vintages said nothing of the kind: their hours are sized by conviction until they are trained again.
    """
    table = HISTORICAL_FORECASTS
    if lake.version(table) is None or lake.is_current(table):
        return
    try:
        lake.read(table, columns=list(_SINCE_SIZING))
    except pl.exceptions.ColumnNotFoundError:
        before = lake.read(table, columns=[name for name in table.schema if name not in _SINCE_SIZING])
        lake.replace(table, before.with_columns(pl.lit(None, table.schema[name]).alias(name) for name in _SINCE_SIZING))


def _sizing(folder: Path, record: VintageRecord) -> VintageSizing | None:
    if not record.quantiles:
        return None
    models = (*record.quantiles, *((record.regime,) if record.regime else ()))
    files = {model.file: (folder / Path(model.file).name).read_bytes() for model in models}
    return VintageSizing(record.quantiles, record.regime, record.bounds, files)
