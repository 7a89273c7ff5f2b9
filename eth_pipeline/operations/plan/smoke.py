"""Does this device train what it should: every kind of model, trained, exported and compared in minutes.

Belongs here: a planted history, the trainings, the verdict. Does not belong: whether there is a device (`preflight`).

The history is made here, so that the answer needs no data: returns follow an impulse of two hours ago. A network finds
it in its window, trees find a noisy echo of it in the decision hour. What learnt on a broken device scores like a coin.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eth_pipeline.errors import NeedsHuman
from eth_pipeline.models.dataset import HorizonTarget, Rows, TrainingSet
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.lstm import Lstm
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft
from eth_pipeline.models.parity import check_parity
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.settings import NetworkDevice

HORIZON_HOURS = 5
_LAG_HOURS = 2
_STRENGTH = 3.0
_LEAST_AUC = 0.65
_FEWEST_HOURS = 500
_GAP_HOURS = 48
_SEED = 20260101
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class SmokeResult:
    """One kind of model: where it trained, how well it found what was planted, how far its export is from it."""

    algorithm: str
    device: str
    auc: float
    least_auc: float
    parity_max_abs_difference: float
    parity_tolerance: float
    seconds: float
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def smoke_test(*, device: NetworkDevice, hours: int, epochs: int) -> tuple[SmokeResult, ...]:
    """Train, export and compare an LSTM, a TFT and boosted trees on a planted history.

    Args:
        device: of the networks; trees train on the CPU.
        hours: length of the history.
        epochs: passes of each network.

    Raises:
        NeedsHuman: the history is too short to say anything, or `cuda` was asked for and is not there.
        ParityFailed: an export is not its model.
    """
    if hours < _FEWEST_HOURS:
        raise NeedsHuman(f"{hours} hours are too few to learn from. Give at least {_FEWEST_HOURS}.")
    used = _device(device)
    data = planted_history(hours)
    schedule = TrainingSchedule(
        batch_rows=128, learning_rate=0.01, weight_decay=0.01, max_epochs=epochs, min_epochs=epochs, device=device
    )
    kinds: tuple[tuple[Forecaster, str, float], ...] = (
        (Lstm(LstmParameters(window_hours=6, features=4, hidden=16, dropout=0.1, schedule=schedule)), used, _LEAST_AUC),
        (Tft(TftParameters(window_hours=6, features=4, width=8, heads=2, dropout=0.0, schedule=schedule)), used, 0.6),
        (Boosting(), "cpu", _LEAST_AUC),
    )
    return tuple(_one(forecaster, data, device=place, least_auc=least) for forecaster, place, least in kinds)


def planted_history(hours: int) -> TrainingSet:
    """Returns that follow `impulse` of two hours ago; `echo` is that impulse as the decision hour sees it."""
    random = np.random.default_rng(_SEED)
    impulse = random.standard_normal(hours + _LAG_HOURS)
    time_of = np.datetime64("2022-01-01", "us") + np.arange(hours) * _HOUR
    echo = impulse[:hours] + 0.5 * random.standard_normal(hours)
    columns = [impulse[_LAG_HOURS:], echo, *random.standard_normal((2, hours))]
    forward = 0.01 * (_STRENGTH * impulse[:hours] + random.standard_normal(hours))
    target = HorizonTarget((forward > 0).astype(np.float32), forward, forward, time_of + HORIZON_HOURS * _HOUR)
    names = ("impulse", "echo", "noise_0", "noise_1")
    features = np.stack(columns, axis=1).astype(np.float32)
    return TrainingSet("ETHUSDT", "simulated", time_of, features, names, {HORIZON_HOURS: target})


def _one(forecaster: Forecaster, data: TrainingSet, *, device: str, least_auc: float) -> SmokeResult:
    started = time.perf_counter()
    fold = _fold(len(data.decision_time), data)
    fitted = forecaster.fit(data, {HORIZON_HOURS: fold}, seed=_SEED)
    scored = fitted.probability(data, {HORIZON_HOURS: fold.test})[HORIZON_HOURS]
    skill = auc(scored, data.targets[HORIZON_HOURS].up[fold.test].astype(np.float64))
    parity = check_parity(
        fitted.to_onnx(),
        lambda features, horizon: fitted.probability_of(features, horizon_hours=horizon),
        fitted.probes(data, sample=fold.train, seed=_SEED),
    )
    return SmokeResult(
        algorithm=forecaster.algorithm,
        device=device,
        auc=round(skill, 4),
        least_auc=least_auc,
        parity_max_abs_difference=parity.max_abs_difference,
        parity_tolerance=parity.tolerance,
        seconds=round(time.perf_counter() - started, 2),
        passed=skill >= least_auc and parity.passed,
    )


def _fold(rows: int, data: TrainingSet) -> Fold:
    """Six tenths to learn, two to stop, the rest to score, two days apart."""
    train, stop = rows * 6 // 10, rows * 8 // 10
    parts: tuple[Rows, ...] = (
        np.arange(train),
        np.arange(train + _GAP_HOURS, stop),
        np.arange(stop + _GAP_HOURS, rows),
    )
    return Fold(0, data.decision_time[stop + _GAP_HOURS], *parts)


def _device(wanted: NetworkDevice) -> str:
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise NeedsHuman(
            "torch sees no GPU here. Run `eth-pipeline plan preflight`, which says why, or give --device cpu."
        )
    return "cuda" if there and wanted != "cpu" else "cpu"
