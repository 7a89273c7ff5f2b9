"""Columns that several families read: log prices, one-hour returns, ranges, volatilities.

Belongs here: what would otherwise be computed twice. Does not belong: features. The steps are evaluated in
order; a step may read the panel and the steps before it.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.panel import prefix

c = pl.col


def derived_steps(cross_symbols: tuple[str, ...]) -> tuple[tuple[pl.Expr, ...], ...]:
    """Expressions per step."""
    prefixes = tuple(prefix(symbol) for symbol in cross_symbols)
    prices = [_log(f"{p}close").alias(f"{p}log_close") for p in ("", "spot_", "mark_", *prefixes)]
    prices += [_log(f"{p}spot_close").alias(f"{p}spot_log_close") for p in prefixes]
    first = (
        *prices,
        *[_log(f"{p}volume").alias(f"{p}log_volume") for p in ("", *prefixes)],
        (c("high") / c("low")).log().alias("log_range"),
        (c("close") / c("open")).log().alias("body"),
        ((c("high") + c("low") + c("close")) / 3).alias("typical"),
        *[rolling.mean(c(f"{p}volume"), 24).alias(f"{p}volume_24h") for p in ("", "spot_", *prefixes)],
        *[rolling.mean(c(f"{p}spot_volume"), 24).alias(f"{p}spot_volume_24h") for p in prefixes],
        rolling.mean(c("volume"), 168).alias("volume_168h"),
    )
    last = c("close").shift(1)
    second = (
        *[c(f"{p}log_close").diff().alias(f"{p}r") for p in ("", *prefixes)],
        ((pl.max_horizontal("high", last) - pl.min_horizontal("low", last)) / c("close")).alias("true_range"),
        *[rolling.running_mean(c("close"), w).alias(f"ma_{w}h") for w in (5, 10, 20, 60, 120, 240)],
        (c("log_close") - c("spot_log_close")).alias("spot_basis"),
        (c("log_close") - c("mark_log_close")).alias("mark_gap"),
    )
    third = (
        *[rolling.deviation(c("r"), w).alias(f"vol_{w}h") for w in (20, 24, 168)],
        *[rolling.deviation(c(f"{p}r"), 24).alias(f"{p}vol_24h") for p in prefixes],
        c("r").abs().alias("abs_r"),
        rolling.zscore(c("log_close") - c("log_close").shift(24), 336).alias("move_zscore_24h"),
    )
    return first, second, third


def _log(column: str) -> pl.Expr:
    """Natural logarithm; null where the column is zero, as volume is in an exchange halt."""
    return pl.when(c(column) > 0).then(c(column).log())
