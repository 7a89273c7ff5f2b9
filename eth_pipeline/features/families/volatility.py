"""How much the main symbol moves, and how that changed.

Belongs here: realised, range-based and directional volatility, its ratios, tails and memory. Does not belong:
direction. `realised_vol_24h` alone is a baseline that every model must beat.
"""

import math

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def family() -> Family:
    """All features of this family."""
    shared = (
        *[rolling.deviation(c("r"), w).alias(f"realised_{w}h") for w in (6, 72, 336, 720)],
        *[parkinson(c("log_range"), w).alias(f"parkinson_{w}h") for w in (24, 168)],
        (c("r") * c("r")).alias("r_squared"),
    )
    return Family("volatility", (*_levels(), *_ratios(), *_shape()), shared)


def parkinson(log_range: pl.Expr, window_hours: int) -> pl.Expr:
    """Volatility per hour from high-low ranges (Parkinson 1980)."""
    return (rolling.mean(log_range * log_range, window_hours) / (4 * math.log(2))).sqrt()


def _levels() -> list[Feature]:
    columns = {24: "vol_24h", 6: "realised_6h", 20: "vol_20h", 72: "realised_72h", 168: "vol_168h"}
    columns |= {336: "realised_336h", 720: "realised_720h"}
    found = [
        Feature(f"realised_vol_{w}h", c(name), "log return per hour", f"Deviation of one-hour returns over {w} hours.")
        for w, name in columns.items()
    ]
    high, low = (c("high") / c("open")).log(), (c("low") / c("open")).log()
    rogers_satchell = high * (high - c("body")) + low * (low - c("body"))
    garman_klass = 0.5 * c("log_range") ** 2 - (2 * math.log(2) - 1) * c("body") ** 2
    return [
        *found,
        *[
            Feature(
                f"parkinson_vol_{w}h",
                c(f"parkinson_{w}h"),
                "log return per hour",
                f"Parkinson volatility over {w} hours.",
            )
            for w in (24, 168)
        ],
        Feature(
            "garman_klass_vol_24h",
            rolling.running_mean(garman_klass, 24).clip(lower_bound=0).sqrt(),
            "log return per hour",
            "Volatility from open, high, low and close over 24 hours (Garman and Klass 1980).",
        ),
        Feature(
            "rogers_satchell_vol_24h",
            rolling.running_mean(rogers_satchell, 24).clip(lower_bound=0).sqrt(),
            "log return per hour",
            "Volatility from open, high, low and close over 24 hours, whatever the trend (Rogers and Satchell 1991).",
        ),
        Feature("range_1h", c("log_range"), "log ratio", "High over low of the newest hour."),
        Feature("atr_5h", rolling.running_mean(c("true_range"), 5), "share", "Mean true range over close, 5 hours."),
        Feature("atr_14h", rolling.running_mean(c("true_range"), 14), "share", "Mean true range over close, 14 hours."),
    ]


def _ratios() -> list[Feature]:
    def ratio(name: str, top: pl.Expr, bottom: pl.Expr, description: str) -> Feature:
        return Feature(name, (top / bottom).log(), "log ratio", description)

    return [
        ratio("vol_ratio_6_24h", c("realised_6h"), c("vol_24h"), "6-hour over 24-hour volatility."),
        ratio("vol_ratio_24_168h", c("vol_24h"), c("vol_168h"), "24-hour over 7-day volatility."),
        ratio("vol_ratio_168_720h", c("vol_168h"), c("realised_720h"), "7-day over 30-day volatility."),
        ratio(
            "atr_ratio_5_14h",
            rolling.mean(c("true_range"), 5),
            rolling.mean(c("true_range"), 14),
            "5-hour over 14-hour mean true range.",
        ),
        ratio(
            "range_to_close_vol_24h",
            c("parkinson_24h"),
            c("vol_24h"),
            "Range volatility over close-to-close volatility, 24 hours: high when moves are taken back.",
        ),
        ratio(
            "range_vol_ratio_24_168h", c("parkinson_24h"), c("parkinson_168h"), "24-hour over 7-day range volatility."
        ),
        ratio("range_expansion_20h", c("log_range"), rolling.mean(c("log_range"), 20), "Newest range over its mean."),
    ]


def _shape() -> list[Feature]:
    found: list[Feature] = []
    squared = c("r_squared")
    for w in (24, 168):
        below = rolling.running_mean(pl.when(c("r") < 0).then(squared).when(c("r").is_not_null()).then(0.0), w)
        found.append(
            Feature(
                f"downside_share_{w}h",
                below / rolling.mean(squared, w),
                "share",
                f"Share of variance below zero, {w} hours.",
            )
        )
    for w, name in ((72, "realised_72h"), (168, "vol_168h")):
        deviation = rolling.floored(c(name))
        found.append(
            Feature(
                f"skew_{w}h",
                rolling.mean(squared * c("r"), w) / deviation**3,
                "ratio",
                f"Skewness around zero, {w} hours.",
            )
        )
    deviation = rolling.floored(c("vol_168h"))
    return [
        *found,
        Feature(
            "kurtosis_168h",
            rolling.mean(squared * squared, 168) / deviation**4,
            "ratio",
            "Kurtosis around zero, 7 days.",
        ),
        Feature(
            "largest_move_24h",
            rolling.highest(c("abs_r"), 24) / deviation,
            "deviations",
            "Largest one-hour move of 24 hours in units of the 7-day volatility.",
        ),
        Feature(
            "vol_of_vol_168h",
            rolling.deviation(c("abs_r"), 168) / rolling.mean(c("abs_r"), 168),
            "ratio",
            "Deviation over mean of absolute one-hour returns, 7 days.",
        ),
        *[
            Feature(
                f"autocorrelation_{w}h",
                rolling.correlation(c("r"), c("r").shift(1), w),
                "correlation",
                f"One-hour return with the one before, {w} hours: below zero where moves revert.",
            )
            for w in (72, 168)
        ],
        Feature(
            "vol_zscore_720h",
            rolling.zscore(c("vol_24h").log(), 720),
            "deviations",
            "24-hour log volatility against its last 30 days.",
        ),
    ]
