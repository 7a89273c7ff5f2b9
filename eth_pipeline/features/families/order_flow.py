"""Who was aggressive: taker buying against selling, number and size of trades; perpetual and spot apart.

Belongs here: anything from taker volumes and trade counts. Where a market publishes none, these are null: spot
flow is another feature, never a stand-in for missing perpetual flow.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def family() -> Family:
    """All features of this family."""
    shared = []
    for p in ("", "spot_"):
        shared += [
            (2 * c(f"{p}taker_buy_volume") - c(f"{p}volume")).alias(f"{p}taker_net"),
            pl.when(c(f"{p}taker_buy_volume").is_not_null()).then(c(f"{p}volume")).alias(f"{p}taker_all"),
            (c(f"{p}volume") / pl.when(c(f"{p}trades") > 0).then(c(f"{p}trades"))).alias(f"{p}trade_size"),
        ]
    shared.append((2 * c("taker_buy_volume") / c("volume") - 1).alias("taker_imbalance_now"))
    features = (*_imbalances("", (4, 12, 24, 72, 168)), *_perpetual_only(), *_trades("", (24, 168)))
    return Family(
        "order_flow", (*features, *_imbalances("spot_", (4, 24, 72)), *_trades("spot_", (24,))), tuple(shared)
    )


def _imbalance(p: str, window_hours: int) -> pl.Expr:
    return rolling.running_mean(c(f"{p}taker_net"), window_hours) / rolling.mean(c(f"{p}taker_all"), window_hours)


def _imbalances(p: str, windows_hours: tuple[int, ...]) -> list[Feature]:
    market = "Spot" if p else "Perpetual"
    now = Feature(
        f"{p}taker_imbalance_1h",
        c(f"{p}taker_net") / c(f"{p}taker_all"),
        "share, signed",
        f"{market} taker buys minus sells over volume, newest hour.",
    )
    return [
        now,
        *[
            Feature(
                f"{p}taker_imbalance_{w}h",
                _imbalance(p, w),
                "share, signed",
                f"{market} taker buys minus sells over volume, {w} hours.",
            )
            for w in windows_hours
        ],
    ]


def _perpetual_only() -> list[Feature]:
    now = c("taker_imbalance_now")
    return [
        Feature(
            "taker_imbalance_change",
            _imbalance("", 4) - _imbalance("", 24),
            "share, signed",
            "4-hour minus 24-hour taker imbalance.",
        ),
        Feature(
            "taker_imbalance_zscore_168h",
            rolling.zscore(now, 168),
            "deviations",
            "Newest hour's taker imbalance against its last 7 days.",
        ),
        Feature(
            "taker_imbalance_deviation_24h",
            rolling.deviation(now, 24),
            "share",
            "How much the hourly taker imbalance varied in 24 hours.",
        ),
        Feature(
            "taker_return_correlation_24h",
            rolling.correlation(now, c("r"), 24),
            "correlation",
            "Hourly taker imbalance with the hour's return, 24 hours: low where flow is absorbed.",
        ),
        Feature(
            "taker_lead_correlation_72h",
            rolling.correlation(now.shift(1), c("r"), 72),
            "correlation",
            "Hourly taker imbalance with the NEXT hour's return, 72 hours, all of it past.",
        ),
        Feature(
            "spot_minus_taker_imbalance_24h",
            _imbalance("spot_", 24) - _imbalance("", 24),
            "share, signed",
            "Spot minus perpetual taker imbalance, 24 hours.",
        ),
    ]


def _trades(p: str, windows_hours: tuple[int, ...]) -> list[Feature]:
    market = "spot" if p else "perpetual"
    found: list[Feature] = []
    for w in windows_hours:
        found += [
            Feature(
                f"{p}trades_ratio_{w}h",
                (c(f"{p}trades") / rolling.mean(c(f"{p}trades"), w)).log(),
                "log ratio",
                f"Number of {market} trades over its {w}-hour mean.",
            ),
            Feature(
                f"{p}trade_size_ratio_{w}h",
                (c(f"{p}trade_size") / rolling.mean(c(f"{p}trade_size"), w)).log(),
                "log ratio",
                f"Mean {market} trade size over its {w}-hour mean.",
            ),
        ]
    return found
