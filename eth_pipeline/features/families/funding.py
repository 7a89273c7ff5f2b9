"""Funding of the main perpetual: the rate, its history, the time to the next settlement.

Belongs here: anything from settlements alone. Does not belong: differences to other symbols (`cross`).
Rates are per 8 hours, whatever the settlement interval: 2-hour and 4-hour intervals occur in bad weeks.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def cumulative(p: str, window_hours: int) -> pl.Expr:
    """Funding settled within the window; null where settlements cover less than 80 % of it.

    Scaled to the whole window, so that a missing settlement is not counted as a rate of zero.
    """
    settled, covered = (
        c(f"{p}{name}").fill_null(0.0).rolling_sum(window_hours, min_samples=1)
        for name in ("funding_settled", "funding_covered_hours")
    )
    return pl.when(covered >= rolling.PRESENT_SHARE * window_hours).then(settled / covered * window_hours)


def family() -> Family:
    """All features of this family."""
    rate = c("funding_rate")
    to_next = c("funding_interval_hours") - c("hours_since_funding")
    return Family(
        "funding",
        (
            Feature("funding_rate", rate, "share per 8 hours", "Newest settled funding rate; positive: longs paid."),
            *[
                Feature(f"funding_{w}h", cumulative("", w), "share", f"Funding settled in {w} hours.")
                for w in (24, 72, 168, 720)
            ],
            Feature(
                "funding_change_24h", rate - rate.shift(24), "share per 8 hours", "Change of the rate in 24 hours."
            ),
            *[
                Feature(
                    f"funding_zscore_{w}h",
                    rolling.zscore(rate, w),
                    "deviations",
                    f"The rate against its last {w} hours.",
                )
                for w in (168, 720)
            ],
            Feature(
                "funding_positive_168h",
                rolling.running_mean(pl.when(rate.is_not_null()).then((rate > 0).cast(pl.Float64)), 168),
                "share",
                "Share of 7 days in which longs paid.",
            ),
            Feature(
                "hours_to_funding",
                pl.when(to_next >= 0).then(to_next),
                "hours",
                "Hours to the next settlement, by the interval seen last.",
            ),
        ),
    )
