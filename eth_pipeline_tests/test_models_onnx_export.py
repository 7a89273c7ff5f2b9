"""Tests of models.onnx_export and tree_splits: the exported trees decide every float32 as LightGBM does."""

import lightgbm
import numpy as np
import onnxruntime
import pytest

from eth_pipeline.errors import ParityFailed
from eth_pipeline.models.forecaster import OnnxModel
from eth_pipeline.models.tree_splits import exported_threshold, float32_at_most, missing_goes_left
from eth_pipeline.models.trees.onnx_export import export_trees


def stump(threshold: str, *, decision_type: int = 10) -> lightgbm.Booster:
    """A hand-made booster of one split: x <= threshold gives -1, above +1, in logits.

    `decision_type` is LightGBM's bit field: 2 default left, 4 missing is zero, 8 missing is NaN, 0 none.
    """
    return lightgbm.Booster(
        model_str=f"""tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=0
objective=binary sigmoid:1
feature_names=x
feature_infos=[-10:10]
tree_sizes=400

Tree=0
num_leaves=2
num_cat=0
split_feature=0
split_gain=1
threshold={threshold}
decision_type={decision_type}
left_child=-1
right_child=-2
leaf_value=-1 1
leaf_weight=10 10
leaf_count=10 10
internal_value=0
internal_weight=20
internal_count=20
is_linear=0
shrinkage=1


end of trees
"""
    )


def answers(model: OnnxModel, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    return session.run([model.output_name], {model.input_name: rows})[0]


def neighbourhood(threshold: float) -> np.ndarray:
    """float32 values around `threshold`: nearest, two steps to either side, zero, extremes, missing."""
    near = [np.float32(threshold)]
    for toward in (-np.inf, np.inf):
        step = near[0]
        for _ in range(2):
            step = np.nextafter(step, np.float32(toward))
            near.append(step)
    return np.array([*near, 0.0, -0.0, 1e-35, -1e-35, 3e38, -3e38, np.inf, -np.inf, np.nan], dtype=np.float32)[:, None]


@pytest.mark.parametrize("decision_type", [0, 2, 8, 10])
@pytest.mark.parametrize(
    "threshold",
    [
        "0.1",  # between two float32, and its nearest float32 lies ABOVE it
        "0.30000000000000004",
        "-0.1",
        "0.5",  # exactly a float32
        "1.0000000180025095e-35",
        "-1.0000000180025095e-35",
        "0",
        "3e38",
    ],
)
def test_values_at_and_beside_a_threshold_take_the_same_branch(threshold: str, decision_type: int) -> None:
    """LightGBM compares doubles; nearest-rounded thresholds sent 27 % of the reviewed system's decisions astray."""
    booster = stump(threshold, decision_type=decision_type)
    rows = neighbourhood(float(threshold))
    exported = export_trees([booster.dump_model()], feature_count=1)
    np.testing.assert_allclose(answers(exported, rows), booster.predict(rows), atol=1e-6)


def test_a_threshold_rounded_to_nearest_would_go_the_other_way() -> None:
    """The trap itself: float32(0.1) is above 0.1, so the value float32(0.1) belongs to the right branch."""
    at_nearest = np.float32(0.1)
    assert float(at_nearest) > 0.1
    assert float32_at_most(0.1) < float(at_nearest)
    assert stump("0.1").predict(np.array([[at_nearest]]))[0] > 0.5


def test_float32_at_most_is_the_largest_that_does_not_exceed() -> None:
    for value in np.random.default_rng(1).standard_normal(1_000):
        found = np.float32(float32_at_most(value))
        assert float(found) <= value < float(np.nextafter(found, np.float32(np.inf)))


def test_a_split_of_missing_against_present_is_dumped_as_1e300_and_means_infinity() -> None:
    random = np.random.default_rng(2)
    rows = random.standard_normal((4_000, 1)).astype(np.float32)
    rows[random.random(4_000) < 0.5] = np.nan
    booster = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "num_leaves": 2},
        lightgbm.Dataset(rows, label=np.isnan(rows[:, 0])),
        num_boost_round=1,
    )
    assert booster.dump_model()["tree_info"][0]["tree_structure"]["threshold"] == 1e300
    assert exported_threshold(1e300) == float("inf")
    probes = np.array([[0.0], [3e38], [np.inf], [-np.inf], [np.nan]], dtype=np.float32)
    exported = export_trees([booster.dump_model()], feature_count=1)
    np.testing.assert_allclose(answers(exported, probes), booster.predict(probes), atol=1e-6)


def test_the_output_is_one_probability_per_row() -> None:
    exported = export_trees([stump("0.5").dump_model()], feature_count=1)
    assert answers(exported, np.zeros((3, 1), dtype=np.float32)).shape == (3,)
    assert answers(exported, np.zeros((1, 1), dtype=np.float32)).shape == (1,)


def test_a_tree_without_a_split_is_its_constant() -> None:
    booster = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 1_000},
        lightgbm.Dataset(np.zeros((100, 1), dtype=np.float32), label=np.arange(100) < 30),
        num_boost_round=2,
    )
    rows = np.array([[1.0], [np.nan]], dtype=np.float32)
    exported = export_trees([booster.dump_model()], feature_count=1)
    np.testing.assert_allclose(answers(exported, rows), booster.predict(rows), atol=1e-6)


def test_members_are_averaged_in_logits() -> None:
    one, other = stump("0.5"), stump("-0.5")
    rows = np.array([[0.0], [1.0], [-1.0]], dtype=np.float32)
    exported = export_trees([one.dump_model(), other.dump_model()], feature_count=1)
    logits = (one.predict(rows, raw_score=True) + other.predict(rows, raw_score=True)) / 2
    np.testing.assert_allclose(answers(exported, rows), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_what_the_export_does_not_know_it_refuses() -> None:
    with pytest.raises(ParityFailed, match="missing values as 'Zero'"):
        missing_goes_left({"missing_type": "Zero", "threshold": 1.0, "default_left": True})
    categorical = {"tree_info": [{"tree_structure": {"decision_type": "==", "left_child": {}, "right_child": {}}}]}
    with pytest.raises(ParityFailed, match="numerical features only"):
        export_trees([categorical], feature_count=1)
