"""Divergence family: price makes a new extreme and momentum does not follow.

Belongs here: the one part of the divergence score. Does not belong: the trend itself (`moving_averages`).
"""

from collections.abc import Callable

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import (
    Candles,
    Floats,
    lagged,
    mean_true_range,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
)

RECENT_BARS = 10
EARLIER_BARS = 20


def divergence_parts(candles: Candles) -> tuple[Part, ...]:
    """Divergence score; 55 bars of history.

    Momentum is the 12-bar minus the 26-bar simple average (Appel's MACD with simple averages, so that it is
    finite). Bearish: the high of the last 10 bars exceeds that of the 20 before, while the peak of momentum is
    lower; the score is the shortfall in mean true ranges, full at one. Bullish: mirrored.
    """
    momentum = rolling_mean(candles.close, 12) - rolling_mean(candles.close, 26)
    swing = mean_true_range(candles, 14)

    peak, earlier_peak = _recent_and_earlier(rolling_max, candles.high)
    crest, earlier_crest = _recent_and_earlier(rolling_max, momentum)
    bearish = np.where(peak > earlier_peak, np.clip(ratio(earlier_crest - crest, swing), 0, 1), 0.0)

    bottom, earlier_bottom = _recent_and_earlier(rolling_min, candles.low)
    trough, earlier_trough = _recent_and_earlier(rolling_min, momentum)
    bullish = np.where(bottom < earlier_bottom, np.clip(ratio(trough - earlier_trough, swing), 0, 1), 0.0)

    known = np.where(np.isnan(earlier_crest), np.nan, 0.0)
    return (
        Part(
            100 * (bullish - bearish) + known,
            "lower low on rising momentum",
            "higher high on falling momentum",
        ),
    )


def _recent_and_earlier(extreme: Callable[[Floats, int], Floats], values: Floats) -> tuple[Floats, Floats]:
    return extreme(values, RECENT_BARS), lagged(extreme(values, EARLIER_BARS), RECENT_BARS)
