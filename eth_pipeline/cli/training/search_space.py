"""What a search of hyperparameters chooses from, and the algorithm with what it chose.

Belongs here: the choices of every algorithm, taking some of them by a seed. Does not belong: scoring (`search`), the
parameters themselves (`models`).
"""

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eth_pipeline.models.algorithms import CROSS_ASSET, LIGHTGBM, LSTM, TFT, forecaster_named
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.trees.boosting import Boosting, BoostingParameters
from eth_pipeline.settings import NetworkSettings

_TREES: dict[str, tuple[float, ...]] = {
    "leaves": (7, 15, 31, 63),
    "min_rows_per_leaf": (100, 200, 400, 800),
    "feature_share": (0.1, 0.2, 0.3, 0.5),
    "learning_rate": (0.01, 0.02, 0.05),
    "l2": (0.1, 1.0, 10.0),
}
CHOICES: dict[str, dict[str, tuple[float, ...]]] = {
    LIGHTGBM: _TREES,
    CROSS_ASSET: _TREES,
    LSTM: {
        "features": (16, 32, 64),
        "hidden": (16, 32, 64),
        "dropout": (0.1, 0.3, 0.5),
        "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3),
        "weight_decay": (0.01, 0.05, 0.2),
    },
    TFT: {
        "features": (8, 12, 24),
        "width": (8, 16, 32),
        "dropout": (0.1, 0.2, 0.4),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "weight_decay": (0.01, 0.05, 0.2),
    },
}
"""By algorithm, what is chosen from; everything else stays as its parameters have it."""
_OF_SCHEDULE = ("learning_rate", "weight_decay")
LARGEST = {name: math.prod(len(values) for values in space.values()) for name, space in CHOICES.items()}


@dataclass(frozen=True)
class Try:
    """One set of hyperparameters, to be scored on one symbol's history."""

    symbol: str
    algorithm: str
    values: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        return f"{self.symbol} {self.algorithm} " + ", ".join(f"{name} {value:g}" for name, value in self.values)


def chosen(tries: int, *, seed: int, algorithm: str, symbol: str) -> list[Try]:
    """`tries` different ones; the first of a longer search with the same seed are the same."""
    space = CHOICES[algorithm]
    every = [tuple(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    random.Random(seed).shuffle(every)  # noqa: S311  # a search, no secret
    return [Try(symbol, algorithm, values) for values in every[:tries]]


def forecaster_of(tried: Try, *, cross_prefixes: tuple[str, ...], networks: NetworkSettings) -> Forecaster:
    """The algorithm with these hyperparameters, on one thread: a worker has one try at a time and its share of cores.

    Args:
        tried: what was chosen.
        cross_prefixes: beginnings of the names of cross-asset features.
        networks: size and place of the networks' trainings.
    """
    values: Mapping[str, float] = dict(tried.values)
    if tried.algorithm in (LIGHTGBM, CROSS_ASSET):
        trees = Boosting(replace(BoostingParameters(threads=1), **values))  # type: ignore[arg-type]  # by name
        return trees if tried.algorithm == LIGHTGBM else FeatureView(trees, name=CROSS_ASSET, prefixes=cross_prefixes)
    from eth_pipeline.models.networks.lstm import Lstm
    from eth_pipeline.models.networks.tft import Tft

    usual = forecaster_named(tried.algorithm, cross_prefixes=cross_prefixes, networks=networks)
    assert isinstance(usual, Lstm | Tft)  # the two that are left
    steps = {name: values[name] for name in _OF_SCHEDULE}
    schedule = replace(usual.parameters.schedule, **steps)  # type: ignore[arg-type]  # by name
    shape = {name: value for name, value in values.items() if name not in _OF_SCHEDULE}
    return replace(usual, parameters=replace(usual.parameters, schedule=schedule, **shape))  # type: ignore[arg-type]  # by name
