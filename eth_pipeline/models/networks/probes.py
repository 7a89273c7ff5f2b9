"""Windows on which a network's export is compared with its source.

Belongs here: real windows and what breaks exports: missing, extreme and infinite values. Does not belong: comparing
(`models.parity`).
"""

import numpy as np

from eth_pipeline.models.dataset import Rows, TrainingSet
from eth_pipeline.models.forecaster import Probes
from eth_pipeline.models.networks.windows import raw_windows

TOLERANCE = 1e-5
"""Both sides add float32 numbers in another order, over dozens of recurrent steps; about 1e-7 is seen."""

_WINDOWS_OF_A_KIND = 60
_EXTREMES = np.array(
    [0.0, -0.0, 1e-40, 1e-35, 1.0, -1.0, 1e30, -1e30, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], dtype=np.float32
)


def probe_windows(data: TrainingSet, *, sample: Rows, window_hours: int, seed: int) -> Probes:
    """Real windows, the oldest of history, with holes, without whole hours, with extremes; and flat ones.

    Args:
        data: the training set.
        sample: rows to take windows of.
        window_hours: hours of one window.
        seed: of every choice.
    """
    random = np.random.default_rng(seed)
    chosen = random.choice(sample, size=_WINDOWS_OF_A_KIND)
    real = raw_windows(data, chosen, window_hours=window_hours)
    oldest = raw_windows(data, np.sort(sample)[:window_hours:5], window_hours=window_hours)
    holed = np.where(random.random(real.shape) < 0.3, np.float32(np.nan), real)
    no_hours = np.where(random.random((*real.shape[:2], 1)) < 0.3, np.float32(np.nan), real)
    spiked = np.where(random.random(real.shape) < 0.05, random.choice(_EXTREMES, size=real.shape), real)
    flat = np.broadcast_to(_EXTREMES[:, None, None], (len(_EXTREMES), *real.shape[1:]))
    matrix = np.concatenate([real, oldest, holed, no_hours, spiked, flat]).astype(np.float32)
    return Probes(matrix, at_thresholds=0, tolerance=TOLERANCE)
