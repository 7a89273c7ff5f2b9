"""The premium index of the main perpetual: how far it trades from its index, which funding will settle.

Belongs here: anything from premium-index klines, alone or against the last settlement. Does not belong: settled
funding (`funding`), spot and mark price (`basis`). The premium is a share already, so its prices need no scaling.
Recorded history often has no premium klines: then every feature here is null.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature
from eth_pipeline.features.families.momentum import change
from eth_pipeline.features.panel import LONGEST_FUNDING_INTERVAL_HOURS

c = pl.col
INTEREST_PER_8_HOURS = 0.0001
MAX_INTEREST_ADJUSTMENT = 0.0005


def family() -> Family:
    """All features of this family."""
    shared = (
        (c("premium_high") - c("premium_low")).alias("premium_range"),
        _window_average((c("premium_open") + c("premium_close")) / 2).alias("premium_window_average"),
    )
    return Family("premium", (*_levels(), *_ranges(), *_settlement()), shared)


def next_funding(average_premium: pl.Expr) -> pl.Expr:
    """The rate per 8 hours that would settle at this average premium.

    Binance: average premium + clamp(interest - average premium, -0.05 %, 0.05 %), interest 0.01 % per 8 hours
    ("Introduction to Binance Futures Funding Rates"). Caps that vary by symbol are left out.
    """
    adjustment = (INTEREST_PER_8_HOURS - average_premium).clip(-MAX_INTEREST_ADJUSTMENT, MAX_INTEREST_ADJUSTMENT)
    return average_premium + adjustment


def _window_average(hourly_premium: pl.Expr) -> pl.Expr:
    """Average premium since the last settlement, the newest hour weighted most, as Binance weights minutes.

    With n hours since the settlement the weights are 1, 2 .. n. In the hour of a settlement the new window is
    still empty; the newest hour stands for it. Null where an hour of the window is missing.
    """
    elapsed = c("hours_since_funding").floor().clip(1, LONGEST_FUNDING_INTERVAL_HOURS)
    weighted = pl.sum_horizontal(
        [
            pl.when(elapsed <= ago).then(0.0).otherwise((elapsed - ago) * hourly_premium.shift(ago))
            for ago in range(LONGEST_FUNDING_INTERVAL_HOURS)
        ],
        ignore_nulls=False,
    )
    return weighted / (elapsed * (elapsed + 1) / 2)


def _levels() -> list[Feature]:
    premium = c("premium_close")
    found = [Feature("premium", premium, "share", "Perpetual over its index, less one.")]
    found += [
        Feature(f"premium_{w}h", rolling.running_mean(premium, w), "share", f"Mean premium of {w} hours.")
        for w in (8, 24, 168)
    ]
    found += [
        Feature(f"premium_change_{h}h", change("premium_close", h), "share", f"Change of the premium over {h} hours.")
        for h in (1, 4, 24)
    ]
    found += [
        Feature(f"premium_zscore_{w}h", rolling.zscore(premium, w), "deviations", f"Premium against its {w} hours.")
        for w in (24, 168, 720)
    ]
    positive = pl.when(premium.is_not_null()).then((premium > 0).cast(pl.Float64))
    return [
        *found,
        Feature(
            "premium_positive_24h", rolling.running_mean(positive, 24), "share", "Share of 24 hours above the index."
        ),
        Feature(
            "premium_price_divergence_24h",
            rolling.zscore(change("premium_close", 24), 336) - c("move_zscore_24h"),
            "deviations",
            "24-hour change of the premium minus 24-hour return, each against its last 14 days.",
        ),
    ]


def _ranges() -> list[Feature]:
    span, premium = c("premium_range"), c("premium_close")
    return [
        Feature("premium_range_1h", span, "share", "Highest minus lowest premium of the newest hour."),
        Feature(
            "premium_range_24h", rolling.running_mean(span, 24), "share", "Mean hourly range of the premium, 24 hours."
        ),
        Feature(
            "premium_range_zscore_168h", rolling.zscore(span, 168), "deviations", "Premium's range against its 7 days."
        ),
        Feature(
            "premium_deviation_24h", rolling.deviation(premium, 24), "share", "Deviation of the premium, 24 hours."
        ),
        Feature(
            "premium_location",
            (premium - c("premium_low")) / pl.when(span > 0).then(span),
            "share",
            "Premium within its newest hour's range: 1 at the high.",
        ),
    ]


def _settlement() -> list[Feature]:
    average, rate = c("premium_window_average"), c("funding_rate")
    predicted = next_funding(average)
    return [
        Feature(
            "premium_since_funding",
            average,
            "share",
            "Time-weighted mean premium since the last settlement: what the next one is made of.",
        ),
        Feature("premium_next_funding", predicted, "share per 8 hours", "Funding rate that this average would settle."),
        Feature(
            "premium_funding_surprise",
            predicted - rate,
            "share per 8 hours",
            "Funding rate to come minus the one settled last.",
        ),
        Feature("premium_funding_gap", c("premium_close") - rate, "share", "Premium minus the rate settled last."),
        Feature(
            "premium_funding_gap_24h",
            rolling.running_mean(c("premium_close"), 24) - rolling.running_mean(rate, 24),
            "share",
            "Mean premium minus mean funding rate, 24 hours.",
        ),
    ]
