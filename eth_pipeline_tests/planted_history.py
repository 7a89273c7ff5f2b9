"""A small training set with a planted, known amount of skill; for the tests of the model plane.

Belongs here: making histories. Does not belong: expectations.
"""

import numpy as np

from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.trees.boosting import BoostingParameters
from eth_pipeline.settings import TrainingSettings

HOUR = np.timedelta64(1, "h")
VOLATILITY = "realised_vol_24h"

SMALL = TrainingSettings(
    horizons_hours=(5, 12),
    embargo_hours=12,
    refit_every_hours=1_200,
    min_train_hours=2_400,
    bootstrap_samples=100,
    seed=11,
)
QUICK = BoostingParameters(
    leaves=7,
    min_rows_per_leaf=100,
    feature_share=0.8,
    learning_rate=0.05,
    max_rounds=40,
    min_rounds=10,
    patience_rounds=10,
)


def planted_history(
    rows: int = 6_000,
    *,
    strength: float,
    seed: int,
    noise_features: int = 5,
    horizons_hours: tuple[int, ...] = (5, 12),
    hourly_volatility: float = 0.007,
) -> TrainingSet:
    """A random walk whose next hours drift by `strength` standard deviations per unit of feature `skill`.

    `skill` is slow (autoregressive), so that it speaks of all hours of a label; at strength 0 it is noise.
    """
    random = np.random.default_rng(seed)
    longest = max(horizons_hours) + 1
    skill = np.zeros(rows + longest)
    shocks = random.standard_normal(rows + longest)
    for hour in range(1, rows + longest):
        skill[hour] = 0.9 * skill[hour - 1] + np.sqrt(1 - 0.81) * shocks[hour]
    steps = hourly_volatility * (random.standard_normal(rows + longest) + strength * skill)
    path = np.concatenate([[0.0], np.cumsum(steps)])
    decision_time = np.datetime64("2022-01-01", "us") + np.arange(rows) * HOUR
    matrix = random.standard_normal((rows, noise_features + 2)).astype(np.float32)
    matrix[:, 0] = skill[:rows]
    matrix[:, 1] = np.abs(matrix[:, 1])
    matrix[random.random(rows) < 0.1, 2] = np.nan
    targets = {h: _target(path, decision_time, h) for h in horizons_hours}
    names = ("skill", VOLATILITY, *(f"noise_{number}" for number in range(noise_features)))
    return TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, targets)


def _target(path: np.ndarray, decision_time: np.ndarray, horizon_hours: int) -> HorizonTarget:
    rows = len(decision_time)
    forward = path[horizon_hours : horizon_hours + rows] - path[:rows]
    late = path[horizon_hours + 1 : horizon_hours + 1 + rows] - path[1 : 1 + rows]
    return HorizonTarget((forward > 0).astype(np.float32), forward, late, decision_time + horizon_hours * HOUR)
