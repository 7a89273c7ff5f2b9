"""LightGBM trees to ONNX, bit for bit in their decisions.

Belongs here: building the ONNX graph. Does not belong: proving that it is the model (`models.parity`),
running it for a signal (`signals.forecasting.forecast`).

Where a split sends a value is decided in `models.tree_splits`.

Operators: ai.onnx.ml TreeEnsembleRegressor (version 3), Sigmoid, Squeeze; for quantiles Gather, Less, Where, Mul.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_pipeline.errors import ParityFailed
from eth_pipeline.models.forecaster import OnnxModel
from eth_pipeline.models.onnx_file import INPUT_NAME, OPSET, OUTPUT_NAME, finished
from eth_pipeline.models.tree_splits import exported_threshold, missing_goes_left

QUANTILES_NAME = "quantiles"


@dataclass
class _Nodes:
    """Attributes of TreeEnsembleRegressor, grown tree by tree."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    missing_left: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    leaf_weight: list[float] = field(default_factory=list)

    def add_tree(self, tree: int, root: dict[str, Any], *, scale: float) -> None:
        """Append one dumped tree, parents before children, leaves times `scale`."""
        pending = [root]
        number = 0
        following = 1
        while number < len(pending):
            current = pending[number]
            self.tree.append(tree)
            self.node.append(number)
            if "leaf_value" in current:
                self._split(feature=0, mode="LEAF", value=0.0, left=0, right=0, missing_left=False)
                self.leaf_tree.append(tree)
                self.leaf_node.append(number)
                self.leaf_weight.append(float(current["leaf_value"]) * scale)
            else:
                self._add_split(current, left=following)
                pending += [current["left_child"], current["right_child"]]
                following += 2
            number += 1

    def _add_split(self, node: dict[str, Any], *, left: int) -> None:
        if node["decision_type"] != "<=":
            raise ParityFailed(f"Split type {node['decision_type']!r} cannot be exported; use numerical features only.")
        self._split(
            feature=int(node["split_feature"]),
            mode="BRANCH_LEQ",
            value=exported_threshold(float(node["threshold"])),
            left=left,
            right=left + 1,
            missing_left=missing_goes_left(node),
        )

    def _split(self, *, feature: int, mode: str, value: float, left: int, right: int, missing_left: bool) -> None:
        self.feature.append(feature)
        self.mode.append(mode)
        self.value.append(value)
        self.left.append(left)
        self.right.append(right)
        self.missing_left.append(int(missing_left))


def export_trees(dumps: Sequence[dict[str, Any]], *, feature_count: int) -> OnnxModel:
    """Export dumped binary boosters, averaged in logits, as one ONNX model.

    Args:
        dumps: `Booster.dump_model()` of every member.
        feature_count: width of the input.

    Returns:
        float32 [rows, feature_count] in, float32 [rows] raw probability of up out.

    Raises:
        ParityFailed: the trees use something this export does not know.
    """
    nodes = _Nodes()
    number = 0
    for dump in dumps:
        for tree in dump["tree_info"]:
            nodes.add_tree(number, tree["tree_structure"], scale=1 / len(dumps))
            number += 1
    return OnnxModel(_graph(nodes, feature_count), INPUT_NAME, OUTPUT_NAME, OPSET)


def export_quantile_trees(
    dumps: Sequence[dict[str, Any]], *, feature_count: int, volatility_index: int, volatility_floor: float
) -> OnnxModel:
    """Export one dumped quantile booster per level as one ONNX model that answers in log returns.

    The trees answer in units of recent volatility, which is an input: the graph gathers it, raises it to the floor
    and multiplies. A missing volatility is below nothing, stays missing and so does the answer.

    Args:
        dumps: `Booster.dump_model()` of every level, in the order of the levels.
        feature_count: width of the input.
        volatility_index: input column that holds the volatility.
        volatility_floor: smallest volatility multiplied by, a float32 value.

    Returns:
        float32 [rows, feature_count] in, float32 [rows, levels] out.

    Raises:
        ParityFailed: the trees use something this export does not know.
    """
    from onnx import TensorProto, helper

    nodes = _Nodes()
    target_of_tree: list[int] = []
    for target, dump in enumerate(dumps):
        for tree in dump["tree_info"]:
            nodes.add_tree(len(target_of_tree), tree["tree_structure"], scale=1.0)
            target_of_tree.append(target)
    graph = helper.make_graph(
        [
            _ensemble(nodes, output="scaled", target_of_tree=target_of_tree),
            helper.make_node("Gather", [INPUT_NAME, "volatility_index"], ["volatility"], axis=1),
            helper.make_node("Less", ["volatility", "floor"], ["is_below"]),
            helper.make_node("Where", ["is_below", "floor", "volatility"], ["scale"]),
            helper.make_node("Mul", ["scaled", "scale"], [QUANTILES_NAME]),
        ],
        "quantiles_of_log_return",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None, feature_count])],
        [helper.make_tensor_value_info(QUANTILES_NAME, TensorProto.FLOAT, [None, len(dumps)])],
        initializer=[
            helper.make_tensor("volatility_index", TensorProto.INT64, [1], [volatility_index]),
            helper.make_tensor("floor", TensorProto.FLOAT, [1], [volatility_floor]),
        ],
    )
    return OnnxModel(finished(graph), INPUT_NAME, QUANTILES_NAME, OPSET)


def _graph(nodes: _Nodes, feature_count: int) -> bytes:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            _ensemble(nodes, output="logit_column", target_of_tree=[0] * (max(nodes.tree) + 1)),
            helper.make_node("Squeeze", ["logit_column", "columns"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], [OUTPUT_NAME]),
        ],
        "probability_of_up",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None, feature_count])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [None])],
        initializer=[helper.make_tensor("columns", TensorProto.INT64, [1], [1])],
    )
    return finished(graph)


def _ensemble(nodes: _Nodes, *, output: str, target_of_tree: Sequence[int]) -> Any:
    """The trees as one node: `features` in, float32 [rows, targets] out, each tree adding to its target."""
    from onnx import helper

    return helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT_NAME],
        [output],
        domain="ai.onnx.ml",
        n_targets=max(target_of_tree) + 1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=nodes.tree,
        nodes_nodeids=nodes.node,
        nodes_featureids=nodes.feature,
        nodes_modes=nodes.mode,
        nodes_values=nodes.value,
        nodes_truenodeids=nodes.left,
        nodes_falsenodeids=nodes.right,
        nodes_missing_value_tracks_true=nodes.missing_left,
        target_treeids=nodes.leaf_tree,
        target_nodeids=nodes.leaf_node,
        target_ids=[target_of_tree[tree] for tree in nodes.leaf_tree],
        target_weights=nodes.leaf_weight,
    )
