"""The main symbol on 4-hour, 8-hour and 24-hour bars, each the newest one closed at or before the hour.

Belongs here: features of larger bars. Does not belong: making the bars (`bars`). The bars are put on a regular
grid of their own; a bar that was not known at its close stays missing, and so do all its features. The newest
row of that grid reaches an hour by an as-of join, and counts only until the next bar should have closed.
"""

from functools import cache

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.asof import asof_join
from eth_pipeline.features.bars import INTERVALS, aggregate
from eth_pipeline.features.definition import Family, Feature
from eth_pipeline.features.families.oscillators import rsi
from eth_pipeline.features.panel import HOUR, grid

c = pl.col
TIMEFRAMES = ("4h", "8h", "24h")
_BAR_TIMES = ("symbol", "open_time", "close_time", "available_at")
_PRICES = {name: name for name in ("open", "high", "low", "close", "volume")}


def family() -> Family:
    """All features of this family; their columns come from `join_timeframes`."""
    return Family(
        "timeframes",
        tuple(
            Feature(f"tf{interval}_{f.name}", c(f"tf{interval}_{f.name}"), f.unit, f"{interval} bars: {f.description}")
            for interval in TIMEFRAMES
            for f in _definitions()
        ),
    )


def join_timeframes(panel: pl.DataFrame, hourly_bars: pl.DataFrame) -> pl.DataFrame:
    """Add `tf4h_*`, `tf8h_*` and `tf24h_*` to the panel, from complete hourly bars of the main symbol."""
    hourly_bars = hourly_bars.select(*_BAR_TIMES, *_PRICES)
    for interval in TIMEFRAMES:
        bars = aggregate(hourly_bars, interval=interval, base_interval="1h")
        on_grid = asof_join(grid(bars, interval), bars, data_time="close_time", max_age=HOUR * 0, columns=_PRICES)
        rows = _computed(on_grid).with_columns(c("decision_time").alias("available_at"))
        panel = asof_join(
            panel,
            rows,
            data_time="decision_time",
            max_age=INTERVALS[interval] - HOUR,
            columns={f.name: f"tf{interval}_{f.name}" for f in _definitions()},
        )
    return panel


def _computed(bars: pl.DataFrame) -> pl.DataFrame:
    log_close = c("close").log()
    before = c("close").shift(1)
    bars = bars.with_columns_seq(
        log_close.alias("log_close"),
        log_close.diff().alias("r"),
        ((pl.max_horizontal("high", before) - pl.min_horizontal("low", before)) / c("close")).alias("true_range"),
        rolling.running_mean(c("close"), 20).alias("ma"),
    )
    rows = bars.select_seq("decision_time", "close", *[f.expr.alias(f.name) for f in _definitions()])
    return rows.filter(c("close").is_not_null()) if rows["close"].null_count() else rows


@cache
def _definitions() -> tuple[Feature, ...]:
    low, high = rolling.lowest(c("low"), 14), rolling.highest(c("high"), 14)
    return (
        Feature("return_1", c("r"), "log return", "return of the newest closed bar."),
        Feature("return_3", c("log_close") - c("log_close").shift(3), "log return", "return over 3 bars."),
        Feature("rsi_14", rsi(c("r"), 14), "share", "Cutler's relative strength index over 14 bars."),
        Feature("ma_distance_20", (c("close") / c("ma")).log(), "log ratio", "close above its 20-bar mean."),
        Feature("ma_slope_20", (c("ma") / c("ma").shift(1)).log(), "log ratio", "change of the 20-bar mean."),
        Feature(
            "bollinger_20",
            (c("close") - c("ma")) / (2 * rolling.deviation(c("close"), 20)),
            "share",
            "close within the 20-bar Bollinger band.",
        ),
        Feature("range_position_14", (c("close") - low) / (high - low), "share", "close within the 14-bar range."),
        Feature("atr_14", rolling.running_mean(c("true_range"), 14), "share", "mean true range over close, 14 bars."),
        Feature(
            "close_location",
            (c("close") - c("low")) / (c("high") - c("low")),
            "share",
            "close within the newest bar's range.",
        ),
        Feature(
            "volume_ratio_14",
            (c("volume") / rolling.mean(c("volume"), 14)).log(),
            "log ratio",
            "newest bar's volume over its 14-bar mean.",
        ),
    )
