"""Returns and momentum of the main symbol, 1 hour to 30 days.

Belongs here: what the price did, raw, in units of its own volatility, and as a position in its range. Does not
belong: moving averages (`trend`), oscillators, other symbols (`cross`).
"""

import math

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col
RETURN_HOURS = (1, 2, 3, 5, 8, 13, 21, 24, 36, 48, 72, 120, 168, 240, 336, 720)


def change(column: str, hours: int) -> pl.Expr:
    """Difference to the value `hours` ago; null where either end is missing."""
    return c(column) - c(column).shift(hours)


def family() -> Family:
    """All features of this family."""
    shared = tuple(change("log_close", h).shift(24 - h).alias(f"next_{h}h_yesterday") for h in (1, 5))
    return Family("momentum", (*_returns(), *_paths(), *_positions(), *_seasonal()), shared)


def _returns() -> list[Feature]:
    found = [
        Feature(f"return_{h}h", change("log_close", h), "log return", f"Log return over {h} hours.")
        for h in RETURN_HOURS
    ]
    found += [
        Feature(
            f"scaled_return_{h}h",
            change("log_close", h) / (rolling.floored(c("vol_168h")) * math.sqrt(h)),
            "deviations",
            f"Log return over {h} hours in units of the 7-day volatility, scaled to {h} hours.",
        )
        for h in (1, 3, 5, 12, 24, 72, 168, 336)
    ]
    found += [
        Feature(f"return_lag_{lag}h", c("r").shift(lag), "log return", f"The one-hour return {lag} hours ago.")
        for lag in (1, 2, 3, 23)
    ]
    found += [
        Feature(
            f"return_change_{h}h",
            change("log_close", h) - change("log_close", h).shift(h),
            "log return",
            f"Return over {h} hours minus the return over the {h} hours before: acceleration.",
        )
        for h in (5, 24, 72)
    ]
    return found


def _paths() -> list[Feature]:
    found = [
        Feature(
            f"sharpe_{h}h",
            rolling.running_mean(c("r"), h) / rolling.floored(rolling.deviation(c("r"), h)),
            "ratio",
            f"Mean over deviation of the one-hour returns of {h} hours.",
        )
        for h in (24, 72, 168)
    ]
    found += [
        Feature(
            f"efficiency_{h}h",
            change("log_close", h) / (rolling.mean(c("abs_r"), h) * h),
            "share, signed",
            f"Net move over {h} hours per path travelled (Kaufman 1995): 1 is a straight line up.",
        )
        for h in (12, 24, 72, 168)
    ]
    return found


def _positions() -> list[Feature]:
    found: list[Feature] = []
    for h in (12, 24, 72, 168, 336, 720):
        low, high = rolling.lowest(c("low"), h), rolling.highest(c("high"), h)
        found.append(
            Feature(
                f"range_position_{h}h",
                (c("close") - low) / (high - low),
                "share",
                f"Close within the high-low range of {h} hours: 0 at the low, 1 at the high.",
            )
        )
    for h in (20, 168):
        found += [
            Feature(
                f"below_high_{h}h",
                (c("close") / rolling.highest(c("high"), h)).log(),
                "log ratio",
                f"Distance of the close to the highest high of {h} hours.",
            ),
            Feature(
                f"above_low_{h}h",
                (c("close") / rolling.lowest(c("low"), h)).log(),
                "log ratio",
                f"Distance of the close to the lowest low of {h} hours.",
            ),
        ]
    found.append(
        Feature(
            "price_rank_60h", rolling.rank_share(c("close"), 60), "share", "Rank of the close among the last 60 closes."
        )
    )
    return found


def _seasonal() -> list[Feature]:
    """What the hours that come next, T..T+h, did on the days before."""
    return [
        Feature(
            f"same_hours_{hours}h_{days}d",
            rolling.same_hour_mean(f"next_{hours}h_yesterday", days),
            "log return",
            f"Mean return over the {hours} hours that follow this clock hour, on the last {days} days.",
        )
        for hours, days in ((1, 7), (5, 7), (5, 28))
    ]
