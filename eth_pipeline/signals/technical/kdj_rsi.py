"""Oscillator family: KDJ and RSI.

Belongs here: overbought and oversold. Does not belong: bands (`bollinger`).
"""

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import (
    Candles,
    Floats,
    clipped,
    lagged,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
)


def relative_strength_index(close: Floats, bars: int) -> Floats:
    """RSI 0..100 with simple sums (Cutler's variant of Wilder 1978: finite, so independent of the first row)."""
    move = close - lagged(close, 1)
    gain = rolling_sum(np.maximum(move, 0.0), bars)
    whole = gain + rolling_sum(np.maximum(-move, 0.0), bars)
    return np.where(whole == 0, 50.0, 100 * ratio(gain, whole))


def kdj(candles: Candles) -> tuple[Floats, Floats, Floats]:
    """K, D and J: the 9-bar stochastic smoothed twice over 3 bars with simple means; J = 3K - 2D."""
    lowest, highest = rolling_min(candles.low, 9), rolling_max(candles.high, 9)
    spread = highest - lowest
    raw = np.where(spread == 0, 50.0, 100 * ratio(candles.close - lowest, spread))
    k = rolling_mean(raw, 3)
    d = rolling_mean(k, 3)
    return k, d, 3 * k - 2 * d


def oscillator_parts(candles: Candles) -> tuple[Part, ...]:
    """Oscillator score; 13 bars of history.

    50 points against an RSI(12) away from 50 (full at 20 and 80), 30 against J away from 50 (full at -10 and
    110), 20 for K crossing away from D (full at 10 points).
    """
    k, d, j = kdj(candles)
    strength = relative_strength_index(candles.close, 12)
    return (
        Part(-50 * clipped((strength - 50) / 30), "RSI low", "RSI high"),
        Part(-30 * clipped((j - 50) / 60), "J low", "J high"),
        Part(20 * clipped((k - d) / 10), "K above D", "K below D"),
    )
