"""Shape and sequence of the main symbol's hourly candles.

Belongs here: bodies, shadows, gaps, streaks, higher highs. Does not belong: pattern names and what to do
about them (`signals.technical.strategy`).
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col
LONGEST_STREAK_HOURS = 12


def family() -> Family:
    """All features of this family."""
    span = c("high") - c("low")
    shared = (
        ((c("close") - c("open")) / span).alias("body_share_now"),
        ((c("close") - c("low")) / span).alias("close_location_now"),
    )
    return Family("candles", (*_shapes(span), *_sequences()), shared)


def _shapes(span: pl.Expr) -> list[Feature]:
    volatility = rolling.floored(c("vol_168h"))
    return [
        Feature("body_share", c("body_share_now"), "share, signed", "Close minus open over the hour's range."),
        Feature(
            "upper_shadow",
            (c("high") - pl.max_horizontal("open", "close")) / span,
            "share",
            "Range above the body over the hour's range.",
        ),
        Feature(
            "lower_shadow",
            (pl.min_horizontal("open", "close") - c("low")) / span,
            "share",
            "Range below the body over the hour's range.",
        ),
        Feature("close_location", c("close_location_now"), "share", "Close within the hour's range: 1 at the high."),
        Feature("body_scaled", c("body") / volatility, "deviations", "Open to close in units of 7-day volatility."),
        Feature(
            "gap_scaled",
            (c("open") / c("close").shift(1)).log() / volatility,
            "deviations",
            "Open against the close before in units of 7-day volatility.",
        ),
        *[
            Feature(
                f"body_share_{w}h",
                rolling.running_mean(c("body_share_now"), w),
                "share, signed",
                f"Mean body share, {w} hours.",
            )
            for w in (6, 24)
        ],
        Feature(
            "close_location_6h",
            rolling.running_mean(c("close_location_now"), 6),
            "share",
            "Mean close location, 6 hours.",
        ),
    ]


def _sequences() -> list[Feature]:
    rising = pl.when(c("r").is_not_null()).then((c("r") > 0).cast(pl.Float64))
    higher = pl.when(c("high").diff().is_not_null()).then((c("high").diff() > 0).cast(pl.Float64))
    lower = pl.when(c("low").diff().is_not_null()).then((c("low").diff() < 0).cast(pl.Float64))
    return [
        *[
            Feature(f"rising_share_{w}h", rolling.running_mean(rising, w), "share", f"Share of rising hours among {w}.")
            for w in (6, 12, 24)
        ],
        Feature(
            "streak",
            _streak(c("r") > 0) - _streak(c("r") < 0),
            "hours, signed",
            f"Rising hours in a row, or minus falling ones, at most {LONGEST_STREAK_HOURS}.",
        ),
        Feature(
            "higher_highs_12h",
            rolling.running_mean(higher, 12),
            "share",
            "Share of hours with a higher high, 12 hours.",
        ),
        Feature(
            "lower_lows_12h", rolling.running_mean(lower, 12), "share", "Share of hours with a lower low, 12 hours."
        ),
    ]


def _streak(holds: pl.Expr) -> pl.Expr:
    """Hours in a row for which `holds`, capped; null where the newest hour is missing, ended by a missing hour."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    newest_break = pl.when(holds.fill_null(False).not_()).then(row).forward_fill().fill_null(-1)
    length = pl.min_horizontal(row - newest_break, LONGEST_STREAK_HOURS).cast(pl.Float64)
    return pl.when(holds.is_not_null()).then(length)
