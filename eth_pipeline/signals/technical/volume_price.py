"""Volume-price family: does volume stand behind the move?

Belongs here: the parts of the volume score. Does not belong: order flow (taker volume is absent in
part of the history).
"""

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import (
    Candles,
    clipped,
    lagged,
    mean_true_range,
    ratio,
    rolling_mean,
    rolling_sum,
)


def volume_price_parts(candles: Candles) -> tuple[Part, ...]:
    """Volume score; 21 bars of history.

    60 points for the balance of volume on rising against falling bars over 20 bars (on-balance volume, Granville
    1963, as a finite share), 40 for the newest move in mean true ranges, counted only as far as its volume
    exceeds the 20-bar mean.
    """
    move = candles.close - lagged(candles.close, 1)
    balance = ratio(rolling_sum(np.sign(move) * candles.volume, 20), rolling_sum(candles.volume, 20))
    excess = np.clip(ratio(candles.volume, rolling_mean(candles.volume, 20)) - 1, 0, 1)
    surge = clipped(ratio(move, mean_true_range(candles, 14))) * excess
    return (
        Part(60 * balance, "volume on rising bars", "volume on falling bars"),
        Part(40 * surge, "rise on high volume", "fall on high volume"),
    )
