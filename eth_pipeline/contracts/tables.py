"""The tables of market data, one per stream: columns, dtypes, units, null rules, row rules; written once, read by all.

Parsers, the lake, checks, docs and the Dagster column schemas read these definitions. Belongs here: what a
valid row of the exchange is. Does not belong: how rows are fetched, stored or computed, other tables.

Every table carries `available_at`, the first instant at which the row could have been known, and `provenance`
(`binance`, `replay`, `simulated`).
"""

import polars as pl

from eth_pipeline.contracts.table import INSTANT, PROVENANCES, Column, Rule, TableContract


def _instant(name: str, description: str, *, nullable: bool = False) -> Column:
    return Column(name, INSTANT, "instant, UTC", description, nullable)


_SYMBOL = Column("symbol", pl.String, "text", "Exchange symbol, for example ETHUSDT.")
_ORIGIN = (
    _instant("available_at", "First instant at which this row could have been known."),
    Column("source", pl.String, "text", "`archive` or `api`: which door the row came through."),
    Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
)
_ORIGIN_RULE = Rule("known provenance", pl.col("provenance").is_in(PROVENANCES), "origin decides what may go live")

_BAR_TIMES = (
    _SYMBOL,
    Column("interval", pl.String, "text", "Bar size, `15m` or `1h`."),
    _instant("open_time", "Start of the bar."),
    _instant("close_time", "Exclusive end of the bar: open_time + interval."),
)
_PRICES = tuple(
    Column(name, pl.Float64, "USDT per coin", f"{name.capitalize()} price of the bar.")
    for name in ("open", "high", "low", "close")
)
_BAR_RULES = (
    _ORIGIN_RULE,
    Rule("positive prices", pl.min_horizontal("open", "high", "low", "close") > 0, "a price of zero never traded"),
    Rule(
        "high and low enclose",
        (pl.col("high") >= pl.max_horizontal("open", "close")) & (pl.col("low") <= pl.min_horizontal("open", "close")),
        "a bar whose close is above its high is corrupt",
    ),
    Rule("time runs forward", pl.col("close_time") > pl.col("open_time"), "an empty bar has no price"),
    Rule("known after its close", pl.col("available_at") >= pl.col("close_time"), "unfinished bars are not stored"),
)
_VOLUMES = (
    Column("volume", pl.Float64, "coin", "Traded volume, base coin."),
    Column("quote_volume", pl.Float64, "USDT", "Traded volume, quote.", nullable=True),
    Column("trades", pl.Int64, "count", "Number of trades.", nullable=True),
    Column("taker_buy_volume", pl.Float64, "coin", "Volume of taker buys, base coin.", nullable=True),
    Column("taker_buy_quote_volume", pl.Float64, "USDT", "Volume of taker buys, quote.", nullable=True),
)
_VOLUME_RULE = Rule("volume not negative", pl.col("volume") >= 0, "negative volume is corrupt")
_BAR_KEY = ("symbol", "interval", "open_time")

KLINES = TableContract(
    name="klines",
    row_is="one closed bar of one USDT-M perpetual",
    key=_BAR_KEY,
    columns=(*_BAR_TIMES, *_PRICES, *_VOLUMES, *_ORIGIN),
    rules=(*_BAR_RULES, _VOLUME_RULE),
)
SPOT_KLINES = TableContract(
    name="spot_klines",
    row_is="one closed bar of one spot pair",
    key=_BAR_KEY,
    columns=(*_BAR_TIMES, *_PRICES, *_VOLUMES, *_ORIGIN),
    rules=(*_BAR_RULES, _VOLUME_RULE),
)
MARK_KLINES = TableContract(
    name="mark_klines",
    row_is="one closed bar of the mark price of one USDT-M perpetual",
    key=_BAR_KEY,
    columns=(*_BAR_TIMES, *_PRICES, *_ORIGIN),
    rules=_BAR_RULES,
)
FUNDING_RATES = TableContract(
    name="funding_rates",
    row_is="one funding settlement of one USDT-M perpetual",
    key=("symbol", "funding_time"),
    columns=(
        _SYMBOL,
        _instant("funding_time", "Settlement instant, rounded to the second."),
        Column("funding_rate", pl.Float64, "share per settlement", "Positive: longs pay shorts."),
        Column("interval_hours", pl.Int64, "hours", "Settlement interval as published.", nullable=True),
        *_ORIGIN,
    ),
    rules=(
        _ORIGIN_RULE,
        Rule("rate within 10 %", pl.col("funding_rate").abs() <= 0.10, "Binance caps funding far below"),
        Rule("known at settlement", pl.col("available_at") >= pl.col("funding_time"), "no look-ahead"),
    ),
)
OPEN_INTEREST = TableContract(
    name="open_interest",
    row_is="open interest of one USDT-M perpetual at the end of one period",
    key=("symbol", "period_end"),
    columns=(
        _SYMBOL,
        _instant("period_end", "The instant the snapshot describes."),
        Column("open_interest", pl.Float64, "coin", "Open contracts, base coin."),
        Column("open_interest_value", pl.Float64, "USDT", "Open contracts, quote.", nullable=True),
        *_ORIGIN,
    ),
    rules=(
        _ORIGIN_RULE,
        Rule("open interest positive", pl.col("open_interest") > 0, "Binance published zeros in 2022-03"),
        Rule("known after its period", pl.col("available_at") >= pl.col("period_end"), "no look-ahead"),
    ),
)

PREMIUM_KLINES = TableContract(
    name="premium_klines",
    row_is="one closed bar of the premium index of one USDT-M perpetual",
    key=_BAR_KEY,
    columns=(
        *_BAR_TIMES,
        *(
            Column(name, pl.Float64, "share", f"{name.capitalize()} of the premium: perpetual over index, less one.")
            for name in ("open", "high", "low", "close")
        ),
        *_ORIGIN,
    ),
    rules=(
        _ORIGIN_RULE,
        Rule("premium within 50 %", pl.max_horizontal(pl.col("high").abs(), pl.col("low").abs()) < 0.5, "no share"),
        *_BAR_RULES[2:],
    ),
)
POSITIONING = TableContract(
    name="positioning",
    row_is="long/short and taker ratios of one USDT-M perpetual over the five minutes that end on one full hour",
    key=("symbol", "period_end"),
    columns=(
        _SYMBOL,
        _instant("period_end", "End of the five minutes."),
        Column("top_account_ratio", pl.Float64, "long / short", "Accounts of top traders.", nullable=True),
        Column("top_position_ratio", pl.Float64, "long / short", "Positions of top traders.", nullable=True),
        Column("account_ratio", pl.Float64, "long / short", "All accounts.", nullable=True),
        Column("taker_ratio", pl.Float64, "buy / sell", "Taker volume.", nullable=True),
        *_ORIGIN,
    ),
    rules=(
        _ORIGIN_RULE,
        Rule(
            "a ratio is there",
            pl.any_horizontal(pl.col("top_account_ratio", "top_position_ratio", "account_ratio").is_not_null()),
            "a row without any long/short ratio says nothing",
        ),
        Rule(
            "ratios positive",
            pl.min_horizontal("top_account_ratio", "top_position_ratio", "account_ratio", "taker_ratio") > 0,
            "a ratio of zero has no long side; Binance publishes zeros where it has no data",
        ),
        Rule("known after its period", pl.col("available_at") >= pl.col("period_end"), "no look-ahead"),
    ),
)

_INPUT = (KLINES, MARK_KLINES, SPOT_KLINES, FUNDING_RATES, OPEN_INTEREST)
_RECORDED = (PREMIUM_KLINES, POSITIONING)

STREAMS: dict[str, TableContract] = {table.name: table for table in (*_INPUT, *_RECORDED)}
RECORDED_STREAMS = tuple(table.name for table in _RECORDED)
"""Streams that no decision waits for: features read them where they are; absent or stale, they change no signal."""
INPUT_STREAMS = tuple(table.name for table in _INPUT)
"""Streams that features must have and the gate reads."""
