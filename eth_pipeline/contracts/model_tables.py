"""The tables that models write: forecasts of hours that taught them nothing, and what every try earned.

Belongs here: what one row is. Does not belong: making or judging forecasts (`models`, `registry`), the hourly
`forecasts` (`signal`).
"""

import polars as pl

from eth_pipeline.contracts.table import INSTANT, Column, Rule, TableContract

OOF_FORECASTS = TableContract(
    name="oof_forecasts",
    row_is="one out-of-fold forecast of one candidate for one horizon of one hour; nothing here taught that model",
    key=("fingerprint", "horizon_hours", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("fingerprint", pl.String, "sha256", "The candidate's bundle."),
        Column("horizon_hours", pl.Int32, "hours", "Forecast horizon."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("fold", pl.Int32, "count", "Walk-forward window."),
        Column("probability", pl.Float64, "probability", "Calibrated probability of up."),
        Column("up", pl.Int8, "flag", "1 if the return was positive.", nullable=True),
        Column("forward_return", pl.Float64, "log return", "Mark price, entered at the next bar.", nullable=True),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    partition_by=("fingerprint",),
    newest_by="decision_time",
)
"""Kept so that a later candidate can be compared with this one on the same rows."""

HISTORICAL_FORECASTS = TableContract(
    name="historical_forecasts",
    row_is="the forecast of one past hour by the vintage that could have existed then, for one horizon",
    key=("symbol", "algorithm", "horizon_hours", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("algorithm", pl.String, "text", "Which algorithm's vintage."),
        Column("horizon_hours", pl.Int32, "hours", "Forecast horizon."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("available_at", INSTANT, "instant, UTC", "When its newest input was known."),
        Column("cutoff", INSTANT, "instant, UTC", "The vintage knows nothing from here on; at or before the hour."),
        Column("probability", pl.Float64, "probability", "Calibrated probability of up."),
        Column("raw_probability", pl.Float64, "probability", "Before calibration."),
        Column("position", pl.Int8, "sign", "+1, -1 or 0 beyond the vintage's thresholds."),
        Column("long_threshold", pl.Float64, "probability", "The vintage acts long above it."),
        Column("short_threshold", pl.Float64, "probability", "The vintage acts short below it."),
        Column("quantiles", pl.String, "JSON", "Level to log return; without them conviction sizes.", nullable=True),
        Column("regime", pl.String, "JSON", "State to probability, calmest first.", nullable=True),
        Column("input_coverage", pl.Float64, "share", "Inputs of the vintage that were there.", nullable=True),
        Column("out_of_bounds_share", pl.Float64, "share", "Of those, beyond the rows learnt from.", nullable=True),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    rules=(Rule("cutoff before the hour", pl.col("cutoff") <= pl.col("decision_time"), "a later model would know"),),
    newest_by="decision_time",
)
"""What would have been forecast: the leak-free history behind rebuilt signals and accounts."""

TRIED_PNL = TableContract(
    name="tried_pnl",
    row_is="the net result of one day's out-of-fold decisions of one configuration that was tried, for one horizon",
    key=("symbol", "provenance", "try_id", "horizon_hours", "day"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
        Column("try_id", pl.String, "sha256", "Algorithm, parameters, inputs and training settings; not the rows."),
        Column("algorithm", pl.String, "text", "For people."),
        Column("horizon_hours", pl.Int32, "hours", "Forecast horizon."),
        Column("day", INSTANT, "instant, UTC", "Begin of the day of the decisions."),
        Column("net_bps", pl.Float64, "bps of capital", "After costs; 0 on a day without a trade."),
    ),
    newest_by="day",
)
"""Every configuration that was ever tried on a history: what a good one has to be discounted by."""
