"""Candlestick family: the shape of the last three bars.

Belongs here: single- and few-bar patterns. Does not belong: anything with a window beyond ten bars.
"""

import numpy as np

from eth_pipeline.signals.technical.parts import Part
from eth_pipeline.signals.technical.windows import Candles, clipped, lagged, mean_true_range, ratio


def candlestick_parts(candles: Candles) -> tuple[Part, ...]:
    """Pattern score; 17 bars of history.

    30 points for the body (full at one mean true range), 40 for an engulfing bar, 30 for three bars in a row,
    40 for a hammer after a fall or a shooting star after a rise (shadow twice the body, five-bar move against it).
    """
    body = candles.close - candles.open
    before = lagged(body, 1)
    swing = mean_true_range(candles, 14)
    size = np.abs(body)

    engulfs = (np.sign(body) == -np.sign(before)) & (size > np.abs(before)) & (size > 0.3 * swing)
    row = np.sign(body) + np.sign(before) + np.sign(lagged(body, 2))
    lower = np.minimum(candles.open, candles.close) - candles.low
    upper = candles.high - np.maximum(candles.open, candles.close)
    move = candles.close - lagged(candles.close, 5)
    hammer = (lower > 2 * size) & (lower > 0.5 * swing) & (upper < lower / 2) & (move < 0)
    star = (upper > 2 * size) & (upper > 0.5 * swing) & (lower < upper / 2) & (move > 0)
    return (
        Part(30 * clipped(ratio(body, swing)), "rising body", "falling body"),
        Part(40 * np.where(engulfs, np.sign(body), 0.0), "bullish engulfing bar", "bearish engulfing bar"),
        Part(30 * np.where(np.abs(row) == 3, np.sign(row), 0.0), "three rising bars", "three falling bars"),
        Part(
            40 * (hammer.astype(np.float64) - star.astype(np.float64)),
            "hammer after a fall",
            "shooting star after a rise",
        ),
    )
