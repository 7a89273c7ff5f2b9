"""Open interest of the main perpetual: its changes, and its disagreement with the price.

Belongs here: anything from open interest. A snapshot counts for at most 9 hours, then open interest is missing.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature
from eth_pipeline.features.families.momentum import change

c = pl.col


def family() -> Family:
    """All features of this family."""
    shared = (
        pl.when(c("open_interest") > 0).then(c("open_interest").log()).alias("log_open_interest"),
        (c("open_interest") / pl.when(c("volume_24h") > 0).then(c("volume_24h") * 24)).log().alias("oi_turnover"),
    )
    return Family("open_interest", (*_changes(), *_relations()), shared)


def _changes() -> list[Feature]:
    found = [
        Feature(
            f"oi_change_{h}h",
            c("log_open_interest") - c("log_open_interest").shift(h),
            "log ratio",
            f"Change of open interest over {h} hours.",
        )
        for h in (1, 5, 8, 24, 72, 168, 336)
    ]
    return [
        *found,
        *[
            Feature(
                f"oi_zscore_{w}h",
                rolling.zscore(c("log_open_interest"), w),
                "deviations",
                f"Log open interest against its last {w} hours.",
            )
            for w in (168, 720)
        ],
    ]


def _relations() -> list[Feature]:
    def divergence(h: int, move: pl.Expr) -> Feature:
        oi = c("log_open_interest") - c("log_open_interest").shift(h)
        return Feature(
            f"oi_price_divergence_{h}h",
            rolling.zscore(oi, 336) - move,
            "deviations",
            f"{h}-hour change of open interest minus {h}-hour return, each against its last 14 days.",
        )

    oi_change = c("log_open_interest") - c("log_open_interest").shift(24)
    return [
        divergence(24, c("move_zscore_24h")),
        divergence(72, rolling.zscore(change("log_close", 72), 336)),
        Feature(
            "oi_confirmation_24h",
            oi_change * change("log_close", 24).sign(),
            "log ratio, signed",
            "24-hour change of open interest with the sign of the return: new money behind the move.",
        ),
        Feature("oi_turnover_24h", c("oi_turnover"), "log ratio", "Open interest over 24 hours' volume."),
        Feature(
            "oi_turnover_zscore_720h",
            rolling.zscore(c("oi_turnover"), 720),
            "deviations",
            "Open interest over volume against its last 30 days.",
        ),
    ]
