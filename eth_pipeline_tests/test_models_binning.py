"""Tests of models.trees.binning: one binned matrix, and exactly the rows and labels that were asked for."""

import numpy as np
import pytest
from lightgbm import Booster, Dataset

from eth_pipeline.models.dataset import Rows, TrainingSet
from eth_pipeline.models.trees.binning import Binned
from eth_pipeline_tests.planted_history import QUICK, planted_history

LEARNT = np.arange(100, 1_100)
NATIVE = QUICK.native(seed=1, rows=len(LEARNT))


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return planted_history(1_200, strength=0.25, seed=4)


def grown(dataset: Dataset) -> str:
    """The trees of ten rounds on `dataset`."""
    booster = Booster(NATIVE, train_set=dataset)
    for _ in range(10):
        booster.update()
    return booster.model_to_string().split("\nparameters")[0]


@pytest.mark.parametrize("horizon_hours", [5, 12])
@pytest.mark.parametrize("rows", [LEARNT[:600], LEARNT[600:], np.setdiff1d(LEARNT, np.arange(500, 540))])
def test_a_subset_is_the_rows_asked_for_with_their_labels_in_the_common_bins(
    data: TrainingSet, rows: Rows, horizon_hours: int
) -> None:
    """Compared with the same rows binned anew by LightGBM with the bins of the whole as its reference."""
    up = data.targets[horizon_hours].up
    whole = Dataset(data.features[LEARNT], label=up[LEARNT], params=dict(NATIVE), free_raw_data=False).construct()
    anew = Dataset(data.features[rows], label=up[rows], reference=whole, params=dict(NATIVE))
    assert grown(Binned(data, LEARNT, NATIVE).subset(rows, horizon_hours)) == grown(anew)
