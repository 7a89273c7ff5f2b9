"""The indicator families against TA-Lib: golden scores made by `oracles.indicator_families`, without our code."""

import json
from typing import Any

import numpy as np
import pytest

from eth_pipeline.signals.technical.parts import total
from eth_pipeline.signals.technical.strategy import FAMILIES
from eth_pipeline.signals.technical.windows import Candles
from eth_pipeline_tests.oracles.indicator_families import FIRST_ROW, GOLDEN

ORACLE: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
CANDLES = Candles(**{name: np.array(values) for name, values in ORACLE["bars"].items()})


def test_every_family_has_an_oracle() -> None:
    assert set(ORACLE["scores"]) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_scores_every_bar_as_the_oracle_does(name: str) -> None:
    expected = np.array(ORACLE["scores"][name])
    np.testing.assert_allclose(total(FAMILIES[name](CANDLES))[FIRST_ROW:], expected, rtol=0, atol=1e-6)
    assert len(np.unique(expected.round(6))) > 3, "an oracle that says one thing judges nothing"
    assert expected.max() > 20, "it never buys"
    assert expected.min() < -20, "it never sells"
