"""The hourly panel: for every full hour, what was known of every source at that hour.

Belongs here: bringing the source tables of all symbols onto one regular hourly grid. Does not belong:
features. One row per hour, hours without a main-symbol bar included (as nulls), so that a window of w rows is
a window of w hours.

A bar takes its place only if it was known in the hour in which it closed. A bar that arrived later stays
missing for every row: the row that needed it could not have had it, and no two rows may see different pasts.
"""

from datetime import timedelta

import numpy as np
import polars as pl

from eth_pipeline.features.asof import asof_join, in_order_known
from eth_pipeline.features.bars import INTERVALS, aggregate
from eth_pipeline.features.sources import FeatureSources

HOUR = timedelta(hours=1)
MAX_FUNDING_AGE = timedelta(hours=9)
MAX_OPEN_INTEREST_AGE = timedelta(hours=9)
MAX_POSITIONING_AGE = timedelta(hours=3)
LONGEST_FUNDING_INTERVAL_HOURS = 8
_BAR = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
_SPOT_BAR = ("close", "volume", "trades", "taker_buy_volume")
_PREMIUM_BAR = ("open", "high", "low", "close")
_CROSS_BAR = ("high", "low", "close", "volume")
_CROSS_SPOT_BAR = ("close", "volume")
_RATIOS = ("top_account_ratio", "top_position_ratio", "account_ratio", "taker_ratio")
_NOW = timedelta(0)


def prefix(symbol: str) -> str:
    """Column prefix of a cross symbol: `btc_` for BTCUSDT."""
    for quote in ("USDT", "USDC", "BUSD"):
        symbol = symbol.removesuffix(quote)
    return f"{symbol.lower()}_"


def of_symbol(frame: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """Rows of one symbol; where they stand together, as in a table of its own or a sorted one, they are not copied."""
    rows = np.flatnonzero((frame["symbol"] == symbol).to_numpy())
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return frame.slice(rows[0], len(rows))
    return frame[rows]


def hourly_bars(frame: pl.DataFrame, symbol: str, *, base_interval: str) -> pl.DataFrame:
    """Complete one-hour bars of one symbol."""
    return aggregate(of_symbol(frame, symbol), interval="1h", base_interval=base_interval)


def hourly_panel(
    sources: FeatureSources, *, symbol: str, cross_symbols: tuple[str, ...], base_interval: str
) -> pl.DataFrame:
    """One row per hour from the first to the last closed hour of the main symbol.

    Returns:
        decision_time; the main symbol's perpetual bar under its plain names; `spot_*`, `mark_close`, `premium_*`,
        `funding_rate` (per 8 hours), `funding_interval_hours`, `hours_since_funding`, `funding_settled` (in this
        hour), `funding_covered_hours`, `open_interest`, the four ratios of `positioning`; and per cross symbol
        bars, spot bars and the funding rate with its prefix (`btc_close`, `btc_spot_close`, `btc_funding_rate`).
        Missing is null.
    """

    def bars(table: pl.DataFrame, of: str) -> pl.DataFrame:
        return hourly_bars(table, of, base_interval=base_interval)

    main = bars(sources.klines, symbol)
    panel = _join_bars(grid(main, "1h"), main, "", _BAR)
    panel = _join_bars(panel, bars(sources.spot_klines, symbol), "spot_", _SPOT_BAR)
    panel = _join_bars(panel, bars(sources.mark_klines, symbol), "mark_", ("close",))
    panel = _join_bars(panel, bars(sources.premium_klines, symbol), "premium_", _PREMIUM_BAR)
    events = _settlements(of_symbol(sources.funding_rates, symbol))
    panel = _join_schedule(_join_rate(panel, events, ""), events)
    panel = _join_snapshots(
        panel, of_symbol(sources.open_interest, symbol), ("open_interest",), max_age=MAX_OPEN_INTEREST_AGE
    )
    panel = _join_snapshots(panel, of_symbol(sources.positioning, symbol), _RATIOS, max_age=MAX_POSITIONING_AGE)
    for cross in cross_symbols:
        p = prefix(cross)
        panel = _join_bars(panel, bars(sources.klines, cross), p, _CROSS_BAR)
        panel = _join_bars(panel, bars(sources.spot_klines, cross), f"{p}spot_", _CROSS_SPOT_BAR)
        panel = _join_rate(panel, _settlements(of_symbol(sources.funding_rates, cross)), p)
    return panel


def grid(bars: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Every close instant from the first to the last bar, as `decision_time`; empty without bars."""
    if not bars.height:
        return bars.select(pl.col("close_time").alias("decision_time"))
    closes = pl.datetime_range(pl.col("close_time").min(), pl.col("close_time").max(), interval=INTERVALS[interval])
    return bars.select(closes.alias("decision_time"))


def _join_bars(panel: pl.DataFrame, bars: pl.DataFrame, p: str, columns: tuple[str, ...]) -> pl.DataFrame:
    named = {name: f"{p}{name}" for name in columns}
    return asof_join(panel, bars, data_time="close_time", max_age=_NOW, columns=named)


def _join_snapshots(
    panel: pl.DataFrame, snapshots: pl.DataFrame, columns: tuple[str, ...], *, max_age: timedelta
) -> pl.DataFrame:
    named = {name: name for name in columns}
    return asof_join(panel, snapshots, data_time="period_end", max_age=max_age, columns=named)


def _join_rate(panel: pl.DataFrame, events: pl.DataFrame, p: str) -> pl.DataFrame:
    named = {"rate_8h": f"{p}funding_rate"}
    return asof_join(panel, events, data_time="funding_time", max_age=MAX_FUNDING_AGE, columns=named)


def _join_schedule(panel: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """When the main symbol settles and what it settled; no feature asks this of a cross symbol."""
    panel = asof_join(
        panel,
        events,
        data_time="funding_time",
        max_age=MAX_FUNDING_AGE,
        columns={"covered_hours": "funding_interval_hours", "funding_time": "funding_time"},
    )
    by_hour = events.filter(pl.col("known_hour") - pl.col("funding_time") <= HOUR)
    by_hour = by_hour.group_by("known_hour", maintain_order=True).agg(
        pl.col("funding_rate").sum(), pl.col("covered_hours").sum()
    )
    panel = asof_join(
        panel,
        by_hour.with_columns(pl.col("known_hour").alias("available_at")),
        data_time="known_hour",
        max_age=_NOW,
        columns={"funding_rate": "funding_settled", "covered_hours": "funding_covered_hours"},
    )
    since = (pl.col("decision_time") - pl.col("funding_time")).dt.total_minutes() / 60
    return panel.with_columns(since.alias("hours_since_funding")).drop("funding_time")


def _settlements(settlements: pl.DataFrame) -> pl.DataFrame:
    """Settlements in the order in which they were known, each with the hours it covers.

    The interval is measured from the settlement before, because the published interval comes only with the
    archive and a value must not depend on the door it came through. After a hole of more than 8 hours, and for
    the first settlement, 8 hours are assumed.
    """
    spacing = (pl.col("funding_time").diff().dt.total_minutes() / 60).round()
    hours = pl.when(spacing.is_between(1, LONGEST_FUNDING_INTERVAL_HOURS)).then(spacing)
    covered = hours.fill_null(float(LONGEST_FUNDING_INTERVAL_HOURS))
    rows = settlements[["available_at", "funding_time", "funding_rate"]]
    if settlements["funding_rate"].is_finite().sum() != settlements.height:
        rows = rows.filter(pl.col("funding_rate").is_not_nan())
    return in_order_known(rows, "funding_time").with_columns_seq(
        covered.alias("covered_hours"),
        (pl.col("funding_rate") * 8 / covered).alias("rate_8h"),
        pl.col("available_at").dt.offset_by("-1us").dt.truncate("1h").dt.offset_by("1h").alias("known_hour"),
    )
