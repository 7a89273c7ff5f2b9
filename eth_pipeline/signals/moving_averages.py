"""Moving-average family: order, distance and slope of simple averages.

Belongs here: the trend score. Does not belong: momentum against price (`divergence`).
"""

from itertools import pairwise

import numpy as np

from eth_pipeline.signals.windows import Candles, Floats, clipped, lagged, mean_true_range, ratio, rolling_mean


def moving_average_score(candles: Candles) -> Floats:
    """Trend score, -100..100 [bars]; 65 bars of history.

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
    return 40 * order / 3 + 30 * distance + 30 * slope
