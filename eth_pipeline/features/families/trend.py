"""Moving averages of the main symbol: distance, slope, order, crossings.

Belongs here: anything built from simple means of the close. Does not belong: MACD (`oscillators`).
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col
_FLAT = 1e-9


def family() -> Family:
    """All features of this family."""
    return Family("trend", (*_distances(), *_slopes(), *_orders(), *_vwap()))


def _distances() -> list[Feature]:
    found = [
        Feature(f"ma_distance_{w}h", (c("close") / c(f"ma_{w}h")).log(), "log ratio", f"Close above its {w}-hour mean.")
        for w in (5, 10, 20, 60, 120, 240)
    ]
    return [
        *found,
        Feature(
            "ma_distance_scaled_20h",
            (c("close") / c("ma_20h")).log() / rolling.floored(c("vol_20h")),
            "deviations",
            "Close above its 20-hour mean in units of the 20-hour volatility.",
        ),
    ]


def _slopes() -> list[Feature]:
    return [
        Feature(
            f"ma_slope_{w}h",
            (c(f"ma_{w}h") / c(f"ma_{w}h").shift(back)).log(),
            "log ratio",
            f"Change of the {w}-hour mean over {back} hours.",
        )
        for w, back in ((5, 1), (20, 4), (60, 12), (240, 24))
    ]


def _orders() -> list[Feature]:
    found = [
        Feature(
            f"ma_ratio_{fast}_{slow}h",
            (c(f"ma_{fast}h") / c(f"ma_{slow}h")).log(),
            "log ratio",
            f"The {fast}-hour mean above the {slow}-hour mean.",
        )
        for fast, slow in ((5, 20), (10, 60), (20, 60), (60, 240))
    ]
    for fast, slow in ((5, 20), (20, 60)):
        side = _side(c(f"ma_{fast}h") / c(f"ma_{slow}h") - 1)
        found.append(
            Feature(
                f"ma_cross_{fast}_{slow}h",
                (side - side.shift(3)) / 2,
                "sign",
                f"1 where the {fast}-hour mean crossed above the {slow}-hour mean within 3 hours, -1 below.",
            )
        )
    return found


def _side(distance: pl.Expr) -> pl.Expr:
    """Sign with a dead band, so that equal means do not take sides by rounding."""
    return pl.when(distance.abs() < _FLAT).then(0.0).otherwise(distance.sign())


def _vwap() -> list[Feature]:
    return [
        Feature(
            f"vwap_distance_{w}h",
            (c("close") * c(f"volume_{w}h") / rolling.mean(c("typical") * c("volume"), w)).log(),
            "log ratio",
            f"Close above the volume-weighted mean of the typical price over {w} hours.",
        )
        for w in (24, 168)
    ]
