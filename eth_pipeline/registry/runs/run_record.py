"""What one registered candidate leaves in its MLflow run: parameters, figures, data sets, plots.

Belongs here: shapes and the calls that log them. Does not belong: importing MLflow (its client and entities arrive as
arguments; only `registry.mlflow_store` imports it), names of figures (`run_figures`), drawing
(`run_plots`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.artifact import DataVersions, RuntimeContract
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.runs.run_figures import data_params, report_metrics
from eth_pipeline.settings import Settings, TrainingSettings

_MOST_PARAMS = 100  # MLflow takes no more in one call
_DIGEST_LETTERS = 36  # MLflow's limit for a data set's digest; the whole one is a parameter of the run


@dataclass(frozen=True)
class RunRecord:
    """Everything logged beside the bundle.

    Attributes:
        report: its figures become metrics.
        data: its table versions become parameters, tags and data sets.
        params: further parameters; `parameters_digest`, `symbol` and `provenance` decide what counts as one try.
        tags: tags of the run.
        plots: file name to PNG, stored under `plots/`.
    """

    report: EvaluationReport
    data: DataVersions
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def lake_tags(self) -> dict[str, str]:
        """Tag name to lake version, of the run and of the model version."""
        return {f"lake_version_{name}": str(version) for name, version in self.data.versions.items()}


def parameters_digest(
    contract: RuntimeContract, training: TrainingSettings, *, hyperparameters: Mapping[str, Any] | None
) -> str:
    """Name of a configuration: what was chosen before any outcome was looked at.

    A retraining of the same configuration on a longer history has the same digest and is no new try.

    Args:
        hyperparameters: of the models, where the caller knows them. Without them the code commit takes their place:
            any change of the code counts as a new configuration, which counts too many tries and never too few.
    """
    chosen = {
        "training": training.model_dump(mode="json"),
        "algorithms": sorted({(m.algorithm, m.horizon_hours, m.window_hours) for m in contract.models}),
        "primary": contract.primary_algorithm,
        "inputs": [item.name for item in contract.inputs],
        "feature_schema": contract.feature_schema,
        "hyperparameters": contract.code_commit if hyperparameters is None else dict(hyperparameters),
    }
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()


def run_params(
    contract: RuntimeContract, settings: Settings, *, hyperparameters: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Parameters of a run about one bundle; a bundle has the same ones however often it is logged.

    Args:
        contract: of the bundle.
        settings: of this host.
        hyperparameters: see `parameters_digest`.
    """
    return {
        **(hyperparameters or {}),
        "symbol": settings.symbol,
        "base_interval": settings.base_interval,
        "provenance": contract.provenance,
        "seed": settings.training.seed,
        "parameters_digest": parameters_digest(contract, settings.training, hyperparameters=hyperparameters),
    }


def log_record(client: Any, entities: Any, run_id: str, record: RunRecord, *, scratch: Path) -> None:
    """Log `record` into the run.

    Args:
        client: an `MlflowClient`.
        entities: the module `mlflow.entities`.
        scratch: an empty folder for the plots on their way.
    """
    texts = [entities.Param(name, str(value)) for name, value in {**record.params, **data_params(record.data)}.items()]
    for start in range(0, len(texts), _MOST_PARAMS):
        client.log_batch(run_id, params=texts[start : start + _MOST_PARAMS])
    moment = client.get_run(run_id).info.start_time
    figures = report_metrics(record.report)
    client.log_batch(run_id, metrics=[entities.Metric(name, value, moment, 0) for name, value in figures.items()])
    client.log_inputs(run_id, _data_sets(entities, record.data))
    for name, png in record.plots.items():
        (scratch / name).write_bytes(png)
        client.log_artifact(run_id, str(scratch / name), "plots")


def _data_sets(entities: Any, data: DataVersions) -> list[Any]:
    """The training matrix by its digest, and every lake table at the version it was read at."""
    matrix = entities.Dataset(
        name="training_set",
        digest=data.digest[:_DIGEST_LETTERS],
        source_type="lake",
        source=json.dumps({"lake": data.lake, "versions": data.versions, "sha256": data.digest}),
        profile=json.dumps({"rows": data.rows}),
    )
    tables = [
        entities.Dataset(
            name=name,
            digest=f"version-{version}",
            source_type="delta_table",
            source=json.dumps({"path": f"{data.lake}/{name}", "delta_table_version": version}),
            profile=json.dumps({"rows": data.rows.get(name)}),
        )
        for name, version in data.versions.items()
    ]
    tags = [entities.InputTag("mlflow.data.context", "training")]
    return [entities.DatasetInput(dataset, tags) for dataset in (matrix, *tables)]
