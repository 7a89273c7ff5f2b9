"""The main symbol against each cross symbol: BTC, SOL, BNB or whatever the settings name.

Belongs here: every feature that needs a second symbol. Does not belong: the main symbol alone. Names start
with the cross symbol's prefix (`btc_`); a cross symbol without history gives nulls.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature
from eth_pipeline.features.families.momentum import change
from eth_pipeline.features.panel import prefix

c = pl.col


def family(cross_symbols: tuple[str, ...]) -> Family:
    """All features of this family, symbol by symbol."""
    prefixes = [prefix(symbol) for symbol in cross_symbols]
    shared = tuple(rolling.beta(c("r"), c(f"{p}r"), 168).alias(f"{p}beta") for p in prefixes)
    features = [f for p in prefixes for f in (*_returns(p), *_relations(p), *_markets(p))]
    return Family("cross", tuple(features), shared)


def _returns(p: str) -> list[Feature]:
    name = p.rstrip("_").upper()
    found = [
        Feature(f"{p}return_{h}h", change(f"{p}log_close", h), "log return", f"{name} log return over {h} hours.")
        for h in (1, 3, 5, 12, 24, 72, 168, 336)
    ]
    found += [
        Feature(
            f"{p}relative_{h}h",
            change("log_close", h) - change(f"{p}log_close", h),
            "log return",
            f"Return over {h} hours minus {name}'s: relative strength.",
        )
        for h in (1, 5, 24, 72, 168, 336)
    ]
    return [
        *found,
        Feature(f"{p}return_lag_1h", c(f"{p}r").shift(1), "log return", f"{name}'s one-hour return an hour ago."),
    ]


def _relations(p: str) -> list[Feature]:
    name = p.rstrip("_").upper()
    found = [
        Feature(
            f"{p}correlation_{w}h",
            rolling.correlation(c("r"), c(f"{p}r"), w),
            "correlation",
            f"One-hour returns with {name}'s, {w} hours.",
        )
        for w in (20, 60)
    ]
    found += [
        Feature(
            f"{p}residual_{h}h",
            change("log_close", h) - c(f"{p}beta") * change(f"{p}log_close", h),
            "log return",
            f"Return over {h} hours that {name} times the 7-day beta does not explain.",
        )
        for h in (1, 24)
    ]
    return [
        *found,
        Feature(f"{p}beta_168h", c(f"{p}beta"), "ratio", f"Slope of one-hour returns on {name}'s, 7 days."),
        Feature(
            f"{p}lead_correlation_72h",
            rolling.correlation(c("r"), c(f"{p}r").shift(1), 72),
            "correlation",
            f"One-hour return with {name}'s an hour before, 72 hours: above zero where {name} leads.",
        ),
        Feature(
            f"{p}vol_ratio_24h",
            (c("vol_24h") / c(f"{p}vol_24h")).log(),
            "log ratio",
            f"24-hour volatility over {name}'s.",
        ),
    ]


def _markets(p: str) -> list[Feature]:
    name = p.rstrip("_").upper()
    low, high = rolling.lowest(c(f"{p}low"), 168), rolling.highest(c(f"{p}high"), 168)
    basis = c(f"{p}log_close") - c(f"{p}spot_log_close")
    ratio = (c(f"{p}volume") / c(f"{p}volume_24h")).log()
    return [
        Feature(f"{p}volume_ratio_24h", ratio, "log ratio", f"{name}'s newest hour's volume over its 24-hour mean."),
        Feature(
            f"{p}relative_volume_24h",
            (c("volume") / c("volume_24h")).log() - ratio,
            "log ratio",
            f"Volume against its 24-hour mean, minus the same of {name}.",
        ),
        Feature(
            f"{p}range_position_168h", (c(f"{p}close") - low) / (high - low), "share", f"{name} within its 7-day range."
        ),
        Feature(f"{p}spot_basis", basis, "log ratio", f"{name}'s perpetual over its spot close."),
        Feature(
            f"{p}spot_volume_ratio_24h",
            (c(f"{p}spot_volume_24h") / c(f"{p}volume_24h")).log(),
            "log ratio",
            f"{name}'s spot over perpetual volume, 24 hours.",
        ),
        Feature(
            f"{p}funding_difference",
            c("funding_rate") - c(f"{p}funding_rate"),
            "share per 8 hours",
            f"Funding rate minus {name}'s.",
        ),
    ]
