"""One ONNX graph of a bundle's primary models with their calibration: what a standard scoring server can serve.

Belongs here: deriving that graph, byte for byte the same wherever it is derived. Does not belong: MLflow's folder
around it (`registry.mlflow_store`), the checks of its parts (`onnx_graph`).

The bundle stays the thing that is signed and decided about; this graph is a convenience derived from it, names its
fingerprint, and can be derived again to prove that it was not changed (`matches`). It answers for the primary
algorithm alone: stacks, quantiles and the regime are read from the bundle.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.artifact import MODELS, HorizonModel, RuntimeContract
from eth_pipeline.errors import ModelRefused

INPUT = "features"
_EDGE = 1e-7  # as in the runtime: a probability is kept this far from 0 and 1 before its logit is taken


def output_name(horizon_hours: int) -> str:
    """Name of the output with the calibrated probability of up, float64 [rows]."""
    return f"probability_up_{horizon_hours}h"


def read_models(folder: Path, contract: RuntimeContract) -> dict[str, bytes]:
    """Model file name to bytes, of the bundle in `folder`."""
    return {file: (folder / MODELS / file).read_bytes() for file in contract.files}


def served_model(contract: RuntimeContract, models: Mapping[str, bytes], *, fingerprint: str) -> bytes:
    """Merge the primary models of all horizons into one graph that answers calibrated probabilities.

    Input `features`: float32 [rows, inputs], or [rows, window_hours, inputs] for a sequence model. Outputs: one
    `probability_up_<horizon>h` per horizon, float64 [rows], sigmoid(slope * logit(raw) + intercept).

    Args:
        models: ONNX bytes by file name, of checked files.
        fingerprint: of the bundle; it is written into the graph's metadata.

    Raises:
        ModelRefused: the primary models cannot stand in one graph.
    """
    import onnx
    from onnx import TensorProto, helper

    primary = contract.primary_models
    parts = {
        model.file: onnx.compose.add_prefix(onnx.load_from_string(models[model.file]), f"{Path(model.file).stem}/")
        for model in primary
    }
    windows = {model.window_hours for model in primary}
    if not primary or len(windows) != 1 or any(part.functions for part in parts.values()):
        raise ModelRefused(
            f"The models of {contract.primary_algorithm} cannot be served as one graph: windows {sorted(windows)} h. "
            "A bundle needs one primary model per horizon, all with one window and without functions."
        )
    width: list[Any] = ["rows", *([windows.pop()] if windows != {1} else []), len(contract.inputs)]
    graph = helper.make_graph(
        nodes=[],
        name="eth_pipeline",
        inputs=[helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, width)],
        outputs=[
            helper.make_tensor_value_info(output_name(m.horizon_hours), TensorProto.DOUBLE, ["rows"]) for m in primary
        ],
    )
    for part in parts.values():
        graph.node.append(helper.make_node("Identity", [INPUT], [part.graph.input[0].name]))
        graph.node.extend(part.graph.node)
        graph.initializer.extend(part.graph.initializer)
        graph.sparse_initializer.extend(part.graph.sparse_initializer)
    for model in primary:
        _calibrate(graph, model)
    merged = helper.make_model(
        graph,
        opset_imports=_opsets(parts.values()),
        ir_version=max(part.ir_version for part in parts.values()),
        producer_name="eth_pipeline",
    )
    helper.set_model_props(
        merged, {"fingerprint": fingerprint, "inputs": json.dumps([item.name for item in contract.inputs])}
    )
    onnx.checker.check_model(merged)
    content: bytes = merged.SerializeToString(deterministic=True)
    return content


def matches(served: bytes, *, folder: Path, contract: RuntimeContract, fingerprint: str) -> bool:
    """True when `served` is exactly what the bundle in `folder` gives."""
    return served == served_model(contract, read_models(folder, contract), fingerprint=fingerprint)


def _calibrate(graph: Any, model: HorizonModel) -> None:
    """Append Platt's calibration of one raw output, in double precision as the runtime computes it."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    name = output_name(model.horizon_hours)
    raw = f"{Path(model.file).stem}/{model.output_name}"
    constants = {
        "low": _EDGE,
        "high": 1 - _EDGE,
        "one": 1.0,
        "slope": model.calibration_slope,
        "intercept": model.calibration_intercept,
    }
    for key, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.float64), f"{name}/{key}"))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), f"{name}/flat"))
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("Cast", [raw], "double", {"to": TensorProto.DOUBLE}),
        ("Reshape", [f"{name}/double", f"{name}/flat"], "rows", {}),
        ("Clip", [f"{name}/rows", f"{name}/low", f"{name}/high"], "inside", {}),
        ("Sub", [f"{name}/one", f"{name}/inside"], "down", {}),
        ("Div", [f"{name}/inside", f"{name}/down"], "odds", {}),
        ("Log", [f"{name}/odds"], "logit", {}),
        ("Mul", [f"{name}/logit", f"{name}/slope"], "scaled", {}),
        ("Add", [f"{name}/scaled", f"{name}/intercept"], "score", {}),
    )
    for operator, inputs, output, attributes in steps:
        graph.node.append(helper.make_node(operator, inputs, [f"{name}/{output}"], **attributes))
    graph.node.append(helper.make_node("Sigmoid", [f"{name}/score"], [name]))


def _opsets(parts: Any) -> list[Any]:
    from onnx import helper

    wanted: dict[str, set[int]] = {}
    for part in parts:
        for entry in part.opset_import:
            wanted.setdefault(entry.domain, set()).add(entry.version)
    if mixed := {domain or "ai.onnx": sorted(found) for domain, found in wanted.items() if len(found) > 1}:
        raise ModelRefused(f"The primary models use different operator sets {mixed}. Export them with one.")
    return [helper.make_opsetid(domain, found.pop()) for domain, found in sorted(wanted.items())]
