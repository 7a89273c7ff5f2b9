"""Oscillators of the main symbol: MACD, RSI, KDJ, CCI, Bollinger bands, money flow, directional movement.

Belongs here: the classical indicators in forms without a scale and with a finite window. Does not belong:
the decision rules that read them (`signals.technical.strategy`).

Wilder's recursive smoothing remembers the first row for ever. So the RSI is Cutler's (simple means), KDJ and
the directional index use simple means, and MACD uses exponential means cut to a finite window.
"""

import polars as pl

from eth_pipeline.features import rolling
from eth_pipeline.features.definition import Family, Feature

c = pl.col


def family() -> Family:
    """All features of this family."""
    fast, slow = (rolling.exponential_mean(c("close"), span) for span in (12, 26))
    shared = (
        (fast / slow - 1).alias("macd_line"),
        rolling.deviation(c("close"), 20).alias("close_deviation_20h"),
        _stochastic_k(9).alias("kdj_k_raw"),
        *_directional(14),
    )
    return Family("oscillators", (*_macd(), *_rsi(), *_kdj(), *_bands(), *_flows()), shared)


def rsi(returns: pl.Expr, bars: int) -> pl.Expr:
    """Cutler's relative strength index, 0..1: gains over gains and losses, simple means over `bars`."""
    return rolling.running_mean(returns.clip(lower_bound=0), bars) / rolling.mean(returns.abs(), bars)


def _stochastic_k(window_hours: int) -> pl.Expr:
    low, high = rolling.lowest(c("low"), window_hours), rolling.highest(c("high"), window_hours)
    return rolling.running_mean((c("close") - low) / (high - low), 3)


def _macd() -> list[Feature]:
    histogram = c("macd_line") - rolling.exponential_mean(c("macd_line"), 9)
    return [
        Feature("macd_line", c("macd_line"), "share", "12-hour over 26-hour exponential mean of the close, minus 1."),
        Feature("macd_histogram", histogram, "share", "MACD line minus its 9-hour exponential mean."),
        Feature("macd_histogram_change", histogram.diff(), "share", "Change of the MACD histogram in an hour."),
    ]


def _rsi() -> list[Feature]:
    return [
        Feature(f"rsi_{w}h", rsi(c("r"), w), "share", f"Cutler's relative strength index over {w} hours, 0..1.")
        for w in (6, 12, 14, 24)
    ]


def _kdj() -> list[Feature]:
    k = c("kdj_k_raw")
    d = rolling.running_mean(k, 3)
    return [
        Feature("kdj_k", k, "share", "Stochastic position in the 9-hour range, 3-hour mean."),
        Feature("kdj_d", d, "share", "3-hour mean of K."),
        Feature("kdj_j", 3 * k - 2 * d, "share", "3 K - 2 D: K ahead of its mean."),
    ]


def _bands() -> list[Feature]:
    gap = c("close") - c("ma_20h")
    mean = rolling.running_mean(c("typical"), 20)
    absolute = rolling.absolute_deviation(c("typical"), 20)
    return [
        Feature(
            "bollinger_position",
            gap / (2 * c("close_deviation_20h")),
            "share",
            "Close within the 20-hour Bollinger band: -1 at the lower, 1 at the upper edge.",
        ),
        Feature(
            "bollinger_width", c("close_deviation_20h") / c("ma_20h"), "share", "20-hour deviation over 20-hour mean."
        ),
        Feature(
            "cci_20h",
            (c("typical") - mean) / (0.015 * absolute),
            "ratio",
            "Commodity channel index over 20 hours (Lambert 1980).",
        ),
    ]


def _flows() -> list[Feature]:
    step = c("typical").diff()
    flow = pl.when(step.is_not_null()).then(c("typical") * c("volume"))
    inflow = pl.when(step > 0).then(flow).when(step.is_not_null()).then(0.0)
    plus, minus = c("directional_plus"), c("directional_minus")
    return [
        Feature(
            "money_flow_14h",
            rolling.running_mean(inflow, 14) / rolling.mean(flow, 14),
            "share",
            "Share of 14 hours' turnover in hours whose typical price rose (money flow index).",
        ),
        Feature(
            "directional_balance_14h",
            (plus - minus) / (plus + minus),
            "share, signed",
            "Upward minus downward directional movement over their sum, 14 hours.",
        ),
    ]


def _directional(window_hours: int) -> tuple[pl.Expr, pl.Expr]:
    """Mean upward and mean downward directional movement (Wilder 1978, with simple means)."""
    up, down = c("high").diff(), -c("low").diff()
    plus = pl.when((up > down) & (up > 0)).then(up).when(up.is_not_null()).then(0.0)
    minus = pl.when((down > up) & (down > 0)).then(down).when(down.is_not_null()).then(0.0)
    return (
        rolling.mean(plus, window_hours).alias("directional_plus"),
        rolling.mean(minus, window_hours).alias("directional_minus"),
    )
