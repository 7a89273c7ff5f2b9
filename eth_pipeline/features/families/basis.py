"""The main perpetual against its spot pair and its mark price.

Belongs here: premium and basis, spot against perpetual volume. Does not belong: basis of other symbols
(`cross`), funding, which settles the premium (`funding`).
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def family() -> Family:
    """All features of this family."""
    shared = (
        (c("spot_volume_24h") / c("volume_24h")).log().alias("spot_share_24h"),
        (c("mark_log_close") - c("spot_log_close")).alias("mark_basis"),
    )
    return Family("basis", (*_spot_basis(), *_mark(), *_volumes()), shared)


def _spot_basis() -> list[Feature]:
    basis = c("spot_basis")
    return [
        Feature("spot_basis", basis, "log ratio", "Perpetual over spot close."),
        *[
            Feature(
                f"spot_basis_{w}h", rolling.running_mean(basis, w), "log ratio", f"Mean perpetual over spot, {w} hours."
            )
            for w in (8, 24, 168)
        ],
        *[
            Feature(
                f"spot_basis_change_{h}h", basis - basis.shift(h), "log ratio", f"Change of the basis over {h} hours."
            )
            for h in (1, 8, 24)
        ],
        *[
            Feature(f"spot_basis_zscore_{w}h", rolling.zscore(basis, w), "deviations", f"Basis against its {w} hours.")
            for w in (24, 168, 720)
        ],
    ]


def _mark() -> list[Feature]:
    gap, basis = c("mark_gap"), c("mark_basis")
    return [
        Feature("mark_gap", gap, "log ratio", "Last price over mark price."),
        Feature("mark_gap_8h", rolling.running_mean(gap, 8), "log ratio", "Mean last over mark price, 8 hours."),
        Feature("mark_gap_24h", rolling.running_mean(gap, 24), "log ratio", "Mean last over mark price, 24 hours."),
        Feature("mark_gap_zscore_168h", rolling.zscore(gap, 168), "deviations", "Last over mark against its 7 days."),
        Feature("mark_basis", basis, "log ratio", "Mark price over spot close."),
        Feature(
            "mark_basis_8h",
            rolling.running_mean(basis, 8),
            "log ratio",
            "Mean mark over spot, 8 hours: funding to come.",
        ),
        Feature("mark_basis_zscore_168h", rolling.zscore(basis, 168), "deviations", "Mark over spot, against 7 days."),
    ]


def _volumes() -> list[Feature]:
    share = c("spot_share_24h")
    return [
        Feature(
            "spot_volume_ratio_1h", (c("spot_volume") / c("volume")).log(), "log ratio", "Spot over perpetual volume."
        ),
        Feature("spot_volume_ratio_24h", share, "log ratio", "Spot over perpetual volume, 24 hours."),
        Feature(
            "spot_volume_ratio_zscore_168h",
            rolling.zscore(share, 168),
            "deviations",
            "24-hour spot over perpetual volume against its last 7 days.",
        ),
        Feature(
            "spot_volume_ratio_change_24h",
            share - share.shift(24),
            "log ratio",
            "Change of spot over perpetual volume in a day.",
        ),
    ]
