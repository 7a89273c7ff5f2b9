"""What an ONNX file of a bundle may be: checked in the protobuf, before it is signed and when it arrives.

Belongs here: operators, operator sets, external data, inputs and outputs against the runtime contract. Does not
belong: names and sizes of files (`layout`), signatures (`signing`), running a model.

A file that passed here is bound by the bundle's hashes, so the hourly path, which does not import onnx, loads only
what was checked; what a session can tell without onnx is checked there again (`require_fitting_session`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eth_pipeline.contracts.artifact import MODELS, RuntimeContract
from eth_pipeline.errors import ModelRefused

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_AGAIN = "Do not use this bundle: roll back, or export and promote a new one."


class Expected(NamedTuple):
    """One output that the contract reads from a file; `columns` is None for [rows] and a count for [rows, columns]."""

    file: str
    input_name: str
    output_name: str
    window_hours: int
    columns: int | None


def expected_of(contract: RuntimeContract) -> tuple[Expected, ...]:
    """Every output that the runtime will ask of every model file."""
    models = [Expected(m.file, m.input_name, m.output_name, m.window_hours, None) for m in contract.models]
    quantiles = [Expected(q.file, q.input_name, q.output_name, 1, len(q.levels)) for q in contract.quantiles]
    regime = contract.regime
    states = [Expected(regime.file, regime.input_name, regime.output_name, 1, len(regime.states))] if regime else []
    return (*models, *quantiles, *states)


def require_sound_models(folder: Path, contract: RuntimeContract) -> None:
    """Check every model file of the bundle in `folder` against `contract`.

    Raises:
        ModelRefused: naming the file and what is wrong with it.
    """
    opsets = {file: _require_sound(folder / MODELS / file, contract) for file in contract.files}
    if opsets and max(opsets.values()) != contract.opset:
        raise ModelRefused(
            f"The runtime contract says operator set {contract.opset}, the model files use {opsets}. {_AGAIN}"
        )


def require_fitting_session(session: Any, expected: Expected, *, inputs: int) -> None:
    """The cheap half of the checks, on an open ONNX Runtime session.

    Args:
        session: of `expected.file`.
        inputs: number of features of the contract.

    Raises:
        ModelRefused: the input or the output has another name, type or shape.
    """
    _require_port(expected, inputs, [(port.name, port.type, tuple(port.shape)) for port in session.get_inputs()])
    if expected.output_name not in (found := [port.name for port in session.get_outputs()]):
        raise ModelRefused(_other_output(expected, found))


def _require_sound(path: Path, contract: RuntimeContract) -> int:
    """Check one file; returns its operator set."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (OSError, DecodeError, ValueError) as error:
        raise ModelRefused(f"{path.name} is no ONNX model: {error}. {_AGAIN}") from error
    if model.functions:
        raise ModelRefused(f"{path.name} defines functions of its own, which no export here does. {_AGAIN}")
    for graph in _graphs(model.graph):
        _require_own_data(graph, path.name)
        if foreign := sorted({f"{n.domain}.{n.op_type}" for n in graph.node if n.domain not in DOMAINS}):
            raise ModelRefused(f"{path.name} uses custom operators {foreign}; they would run foreign code. {_AGAIN}")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    wanted = [expected for expected in expected_of(contract) if expected.file == path.name]
    _require_ports(model, wanted, inputs=len(contract.inputs))
    _require_valid(model, path.name)
    return int(opsets.get("", opsets.get("ai.onnx", 0)))


def _require_own_data(graph: Any, name: str) -> None:
    from onnx import TensorProto

    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *(a.t for a in attributes), *(t for a in attributes for t in a.tensors)]
    tensors += [part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)]
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            places = [entry.value for entry in tensor.external_data if entry.key == "location"]
            raise ModelRefused(
                f"{name} keeps `{tensor.name}` outside itself, in {places}: no signature covers that path, and it may "
                f"lead anywhere on this host. {_AGAIN}"
            )


def _require_ports(model: Any, wanted: list[Expected], *, inputs: int) -> None:
    from onnx import TensorProto

    given = {tensor.name for tensor in model.graph.initializer}
    ports = [
        (port.name, _type_name(port.type.tensor_type.elem_type, TensorProto), _shape(port))
        for port in model.graph.input
        if port.name not in given
    ]
    outputs = {port.name: port for port in model.graph.output}
    for expected in wanted:
        _require_port(expected, inputs, ports)
        if expected.output_name not in outputs:
            raise ModelRefused(_other_output(expected, list(outputs)))
        shape = _shape(outputs[expected.output_name])
        if expected.columns is not None and shape and shape[-1] != expected.columns:
            raise ModelRefused(
                f"{expected.file} answers {shape} where the contract reads {expected.columns} columns. {_AGAIN}"
            )


def _require_port(expected: Expected, inputs: int, ports: list[tuple[str, str, tuple[Any, ...]]]) -> None:
    depth = (inputs,) if expected.window_hours == 1 else (expected.window_hours, inputs)
    if [port[:2] for port in ports] != [(expected.input_name, "tensor(float)")]:
        found = ", ".join(f"{name}: {kind}" for name, kind, _ in ports) or "none"
        raise ModelRefused(
            f"{expected.file} takes the inputs ({found}), the contract feeds one, ({expected.input_name}: "
            f"tensor(float)). {_AGAIN}"
        )
    shape = ports[0][2]
    if tuple(shape[1:]) != depth:
        raise ModelRefused(
            f"{expected.file} takes rows of shape {shape[1:]}, the contract feeds {depth}: {inputs} features over "
            f"{expected.window_hours} h. {_AGAIN}"
        )


def _require_valid(model: Any, name: str) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelRefused(f"{name} is no valid ONNX graph: {error}. {_AGAIN}") from error


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and the ones inside its nodes."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for attribute in (a for node in current.node for a in node.attribute):
            pending += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _shape(port: Any) -> tuple[Any, ...]:
    dims = port.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)


def _type_name(element: int, types: Any) -> str:
    return "tensor(float)" if element == types.FLOAT else str(types.DataType.Name(element)).lower()


def _other_output(expected: Expected, found: list[str]) -> str:
    return f"{expected.file} answers {found}, the contract reads `{expected.output_name}`. {_AGAIN}"
