"""The MLflow model around a bundle: flavour `onnx`, so that MLflow's own clients load and serve it.

Belongs here: the folder `model/` of a registered version. Does not belong: the graph (`served_model`), runs
and versions (`registry.mlflow_store`, which imports MLflow and hands it over).

    model/
      MLmodel, model.onnx, requirements.txt ...   what `mlflow models serve` reads
      bundle/                                     the signed bundle, as it was decided about
"""

import shutil
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.registry.bundles.served_model import INPUT, output_name, read_models, served_model
from eth_pipeline.registry.bundles.verification import read_contract

BUNDLE = "bundle"
GRAPH = "model.onnx"


def save_served(mlflow: Any, folder: Path, target: Path, *, decision: PromotionDecision, run_id: str) -> Path:
    """Write an MLflow model to `target`, with the bundle in `folder` beside its graph; returns `target`.

    Args:
        mlflow: the module, with `mlflow.onnx` imported.
        decision: about the bundle; the fingerprint that it names stands in `MLmodel` and in the graph.
        run_id: the run that the model belongs to.

    Raises:
        ModelRefused: the bundle's primary models cannot be served as one graph.
    """
    import numpy as np
    import onnx

    contract, content = read_contract(folder), decision.candidate_fingerprint
    primary = contract.primary_models
    graph = served_model(contract, read_models(folder, contract), fingerprint=content)
    window = () if primary[0].window_hours == 1 else (primary[0].window_hours,)
    tensor, schema = mlflow.types.TensorSpec, mlflow.types.Schema
    outputs = [tensor(np.dtype("float64"), (-1,), output_name(model.horizon_hours)) for model in primary]
    mlflow.onnx.save_model(
        onnx.load_from_string(graph),
        str(target),
        mlflow_model=mlflow.models.Model(artifact_path=target.name, run_id=run_id),
        signature=mlflow.models.ModelSignature(
            schema([tensor(np.dtype("float32"), (-1, *window, len(contract.inputs)), INPUT)]), schema(outputs)
        ),
        pip_requirements=[f"{name}=={installed_version(name)}" for name in ("mlflow", "onnx", "onnxruntime")],
        metadata={
            "fingerprint": content,
            "decision_id": decision.decision_id,
            "inputs": [item.name for item in contract.inputs],
        },
        save_as_external_data=False,
    )
    (target / GRAPH).write_bytes(graph)  # as derived; MLflow writes the same message with its fields in another order
    shutil.copytree(folder, target / BUNDLE)
    return target
