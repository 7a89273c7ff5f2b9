"""Bollinger family: where the close stands in its band, and whether the band opens.

Belongs here: the parts of the band score. Does not belong: trend by averages (`moving_averages`).
"""

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import Candles, clipped, lagged, ratio, rolling_deviation, rolling_mean

BAND_BARS = 20
FULL_SCORE_DEVIATIONS = 2.5


def bollinger_parts(candles: Candles) -> tuple[Part, ...]:
    """Band score; 25 bars of history (Bollinger 2001, 20 bars).

    In a steady band an outlying close is expected back: the score opposes it. In a band that widened by half
    within five bars it is a breakout: the score follows it. In between the two are blended linearly.
    """
    middle = rolling_mean(candles.close, BAND_BARS)
    deviation = rolling_deviation(candles.close, BAND_BARS)
    outlying = clipped(ratio(candles.close - middle, FULL_SCORE_DEVIATIONS * deviation))
    widening = np.clip(ratio(deviation - lagged(deviation, 5), 0.5 * lagged(deviation, 5)), 0, 1)
    return (
        Part(-100 * outlying * (1 - widening), "close low in a steady band", "close high in a steady band"),
        Part(100 * outlying * widening, "band opens upward", "band opens downward"),
    )
