"""Tests of eth_pipeline.models.baselines."""

from dataclasses import replace

import numpy as np
import pytest

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.baselines import find_volatility_feature, volatility_probability
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline_tests.planted_history import VOLATILITY, planted_history


def test_the_volatility_feature_is_found_by_name_or_refused_with_advice() -> None:
    assert find_volatility_feature(("return_1", "realised_vol_24")) == "realised_vol_24"
    assert find_volatility_feature(("return_1", "btc_vol_24h")) == "btc_vol_24h"
    assert find_volatility_feature(("return_1", "x"), "x") == "x"
    with pytest.raises(ContractViolation, match="volatility_feature=<name>"):
        find_volatility_feature(("return_1",))
    with pytest.raises(ContractViolation, match="not in the training set"):
        find_volatility_feature(("return_1",), "vol")


@pytest.mark.parametrize("direction", [1, -1])
def test_the_direction_of_volatility_is_learnt_from_the_past_of_the_fold(direction: int) -> None:
    data = planted_history(4_000, strength=0.0, seed=1)
    volatility = data.column(VOLATILITY)
    target = replace(data.targets[5], up=(direction * (volatility - 0.7) > 0).astype(np.float32))
    data = replace(data, targets={5: target})
    learn, score = np.arange(3_000), np.arange(3_000, 4_000)
    probability = volatility_probability(data, feature=VOLATILITY, horizon_hours=5, learn=learn, score=score)
    assert auc(probability, target.up[score]) > 0.95


def test_a_missing_volatility_gets_the_base_rate() -> None:
    data = planted_history(2_000, strength=0.0, seed=2)
    data.features[1_500:, 1] = np.nan
    learn, score = np.arange(1_000), np.arange(1_500, 2_000)
    probability = volatility_probability(data, feature=VOLATILITY, horizon_hours=5, learn=learn, score=score)
    np.testing.assert_allclose(probability, data.targets[5].up[learn].mean(), atol=1e-3)
