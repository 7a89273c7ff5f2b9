"""Moving-average family: order, distance and slope of simple averages.

Belongs here: the parts of the trend score. Does not belong: momentum against price (`divergence`).
"""

from itertools import pairwise

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import Candles, clipped, lagged, mean_true_range, ratio, rolling_mean


def moving_average_parts(candles: Candles) -> tuple[Part, ...]:
    """Trend score; 65 bars of history.

    40 points for the order of the averages over 5, 10, 20 and 60 bars, 30 for the distance of the close from
    the 20-bar average (full at two mean true ranges), 30 for that average's slope over 5 bars (full at one).
    """
    close = candles.close
    averages = [rolling_mean(close, bars) for bars in (5, 10, 20, 60)]
    order = sum((np.sign(fast - slow) for fast, slow in pairwise(averages)), np.zeros_like(close))
    swing = mean_true_range(candles, 14)
    middle = averages[2]
    distance = clipped(ratio(close - middle, 2 * swing))
    slope = clipped(ratio(middle - lagged(middle, 5), swing))
    return (
        Part(40 * order / 3, "averages in rising order", "averages in falling order"),
        Part(30 * distance, "close above its average", "close below its average"),
        Part(30 * slope, "average rising", "average falling"),
    )
