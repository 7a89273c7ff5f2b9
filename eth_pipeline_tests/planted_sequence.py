"""A small training set whose skill lies in the past only, and sizes to learn it with; for the tests of sequence models.

Belongs here: making histories for networks. Does not belong: expectations.
"""

from dataclasses import replace

import numpy as np

from eth_pipeline.models.dataset import HorizonTarget, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.networks.lstm import Lstm
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft

HOUR = np.timedelta64(1, "h")
HORIZONS = (5, 12)
NAMES = ("impulse", "noise_0", "noise_1", "hour", "hour_sin", "hour_cos", "hours_to_funding")
QUICK = TrainingSchedule(
    batch_rows=64, learning_rate=0.01, weight_decay=0.01, max_epochs=8, min_epochs=1, patience_epochs=8
)
SMALL_LSTM = Lstm(LstmParameters(window_hours=5, features=7, hidden=8, dropout=0.1, schedule=QUICK))
SMALL_TFT = Tft(TftParameters(window_hours=5, features=3, width=8, heads=2, dropout=0.02, schedule=QUICK))


def planted_sequence(rows: int = 2_000, *, strength: float, seed: int, lag_hours: int = 2) -> TrainingSet:
    """Returns that follow the feature `impulse` of `lag_hours` ago; the decision row alone says nothing of it.

    The impulses and the rest of the returns are independent from hour to hour. One hour in fifty is missing.
    """
    random = np.random.default_rng(seed)
    impulse = random.standard_normal(rows + lag_hours)
    decision_time = np.datetime64("2022-01-01", "us") + np.arange(rows) * HOUR
    hour = (decision_time - decision_time.astype("datetime64[D]")) // HOUR
    angle = 2 * np.pi * hour / 24
    columns = [
        impulse[lag_hours:],
        *random.standard_normal((2, rows)),
        hour,
        np.sin(angle),
        np.cos(angle),
        8 - hour % 8,
    ]
    features = np.stack(columns, axis=1).astype(np.float32)
    features[random.random(rows) < 0.1, 1] = np.nan
    kept = np.flatnonzero(random.random(rows) > 0.02)
    targets = {}
    for horizon in HORIZONS:
        forward = 0.01 * (strength * impulse[:rows] + random.standard_normal(rows))[kept]
        ends = decision_time[kept] + horizon * HOUR
        targets[horizon] = HorizonTarget((forward > 0).astype(np.float32), forward, forward, ends)
    return TrainingSet("ETHUSDT", "simulated", decision_time[kept], features[kept], NAMES, targets)


def fold_of(data: TrainingSet, horizon_hours: int) -> Fold:
    """Half to train, a fifth to stop, the rest to score, two days apart; horizons do not share all rows."""
    rows, gap = len(data.decision_time), 48 + horizon_hours
    train, stop = rows // 2, rows * 7 // 10
    return Fold(
        0,
        data.decision_time[stop + gap],
        np.arange(train),
        np.arange(train + gap, stop),
        np.arange(stop + gap, rows),
    )


def folds_of(data: TrainingSet) -> dict[int, Fold]:
    """One fold per horizon."""
    return {horizon: fold_of(data, horizon) for horizon in HORIZONS}


def poisoned(data: TrainingSet, *, but: Rows) -> TrainingSet:
    """Targets of all rows but some flipped, and missing in every third of those."""
    others = np.setdiff1d(np.arange(len(data.decision_time)), but)
    targets = {}
    for horizon, target in data.targets.items():
        up, forward = target.up.copy(), target.forward_return.copy()
        up[others], forward[others] = 1 - up[others], -100 * forward[others]
        up[others[::3]] = forward[others[::3]] = np.nan
        targets[horizon] = replace(target, up=up, forward_return=forward)
    return replace(data, targets=targets)
