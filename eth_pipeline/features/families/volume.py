"""Traded volume of the main perpetual, and what the price did while it traded.

Belongs here: volume against its own past, volume with direction. Does not belong: who was aggressive
(`order_flow`), spot against perpetual volume (`basis`). Volumes are in coins and only ever enter as ratios.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def family() -> Family:
    """All features of this family."""
    shared = (
        (c("r").sign() * c("volume")).alias("signed_volume"),
        ((2 * c("close") - c("high") - c("low")) / (c("high") - c("low")) * c("volume")).alias("located_volume"),
        c("log_volume").diff().alias("volume_change"),
        c("volume").shift(24).alias("volume_yesterday"),
    )
    return Family("volume", (*_ratios(), *_directed(), *_relations()), shared)


def _ratios() -> list[Feature]:
    volume, day, week = c("volume"), c("volume_24h"), c("volume_168h")
    same_hour = rolling.same_hour_mean("volume_yesterday", 7)

    def ratio(name: str, top: pl.Expr, bottom: pl.Expr, description: str) -> Feature:
        return Feature(name, (top / bottom).log(), "log ratio", description)

    return [
        ratio("volume_ratio_5h", volume, rolling.mean(volume, 5), "Newest hour's volume over its 5-hour mean."),
        ratio("volume_ratio_24h", volume, day, "Newest hour's volume over its 24-hour mean."),
        ratio("volume_ratio_168h", volume, week, "Newest hour's volume over its 7-day mean."),
        ratio("volume_ratio_6_24h", rolling.mean(volume, 6), day, "6-hour over 24-hour mean volume."),
        ratio("volume_ratio_24_168h", day, week, "24-hour over 7-day mean volume."),
        ratio("volume_ratio_168_720h", week, rolling.mean(volume, 720), "7-day over 30-day mean volume."),
        ratio("volume_same_hour_7d", volume, same_hour, "Volume over its mean at this clock hour of the last 7 days."),
        Feature(
            "volume_zscore_168h",
            rolling.zscore(c("log_volume"), 168),
            "deviations",
            "Log volume against its last 7 days.",
        ),
        Feature("volume_change_1h", c("volume_change"), "log ratio", "Volume over the volume of the hour before."),
    ]


def _directed() -> list[Feature]:
    mean_volume = {w: rolling.mean(c("volume"), w) for w in (6, 72)} | {w: c(f"volume_{w}h") for w in (24, 168)}
    found = [
        Feature(
            f"signed_volume_{w}h",
            rolling.running_mean(c("signed_volume"), w) / mean_volume[w],
            "share, signed",
            f"Volume of rising minus falling hours over all volume, {w} hours (on-balance volume without a start).",
        )
        for w in (6, 24, 72, 168)
    ]
    found += [
        Feature(
            f"chaikin_flow_{w}h",
            rolling.running_mean(c("located_volume"), w) / mean_volume[w],
            "share, signed",
            f"Volume weighted by where the hour closed in its range, {w} hours (Chaikin money flow).",
        )
        for w in (24, 72)
    ]
    return found


def _relations() -> list[Feature]:
    impact = c("abs_r") / pl.when(c("volume") > 0).then(c("volume"))
    return [
        *[
            Feature(
                f"return_volume_correlation_{w}h",
                rolling.correlation(c("r"), c("volume_change"), w),
                "correlation",
                f"One-hour return with the change of log volume, {w} hours.",
            )
            for w in (24, 72)
        ],
        Feature(
            "move_volume_correlation_72h",
            rolling.correlation(c("abs_r"), c("log_volume"), 72),
            "correlation",
            "Size of the one-hour move with log volume, 72 hours.",
        ),
        Feature(
            "illiquidity_24_168h",
            (rolling.mean(impact, 24) / rolling.mean(impact, 168)).log(),
            "log ratio",
            "Move per volume, 24 hours over 7 days (Amihud 2002, relative to itself).",
        ),
    ]
