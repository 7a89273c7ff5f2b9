"""What all exports to ONNX share: operator sets, names of input and output, deterministic bytes.

Belongs here: the constants and the last step. Does not belong: the graphs (`models.trees.onnx_export`,
`models.networks.export`, `models.sizing.mixture`), what a bundle admits (`registry.bundles.onnx_graph`).
"""

from typing import Any

OPSET = 18
INPUT_NAME = "features"
OUTPUT_NAME = "probability_up"  # of a model of one horizon
_ML_OPSET = 3
_IR_VERSION = 9


def finished(graph: Any) -> bytes:
    """A checked ONNX file of `graph`, the same bytes for the same graph."""
    from onnx import checker, helper

    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="eth_pipeline")
    checker.check_model(model)
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported
