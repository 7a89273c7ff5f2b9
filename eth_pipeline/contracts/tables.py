"""Every table of the lake: columns, dtypes, units, null rules, row rules; written once, read by all.

Parsers, the lake, checks, docs and the Dagster column schemas read these definitions. Belongs here: what a
valid row is. Does not belong: how rows are fetched, stored or computed.

Times are `Datetime("us", "UTC")` (Delta's resolution). Every table carries `available_at`, the first instant
at which the row could have been known, and `provenance` (`binance`, `replay`, `simulated`).
"""

from dataclasses import dataclass

import polars as pl

from eth_pipeline.errors import ContractViolation

INSTANT = pl.Datetime("us", "UTC")
PROVENANCES = ("binance", "replay", "simulated")


@dataclass(frozen=True)
class Column:
    """One column: `unit` is a plain word such as `USDT`, `ETH`, `share`, `instant`, `text`."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Rule:
    """A condition that every row must satisfy; `expr` is true (or null) for a good row."""

    name: str
    expr: pl.Expr
    why: str


@dataclass(frozen=True)
class TableContract:
    """A Delta table: what one row is, its key, its columns and its rules.

    `definition` is the digest of the code that computes a derived table; a table written under another
    definition is not current and is rebuilt.
    """

    name: str
    row_is: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    partition_by: tuple[str, ...] = ("symbol",)
    newest_by: str = "available_at"
    definition: str = ""

    @property
    def description(self) -> str:
        """Stored with the table: what a row is and, for derived tables, the digest of their definition."""
        return f"{self.row_is} [{self.definition}]" if self.definition else self.row_is

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column name to polars dtype, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of no rows with exactly this schema."""
        return pl.DataFrame(schema=self.schema)

    def bad_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that break a rule, with a text column `broken_rule` naming the first one broken."""
        broken = pl.coalesce(
            *[pl.when(~rule.expr).then(pl.lit(rule.name)) for rule in self.rules], pl.lit(None, dtype=pl.String)
        )
        return frame.with_columns(broken.alias("broken_rule")).filter(pl.col("broken_rule").is_not_null())

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Check `frame` against the contract and return it with columns in order.

        Raises:
            ContractViolation: missing or extra columns, wrong dtype, null where none may be, duplicate key,
                or a broken rule; the message counts the rows and shows the first.
        """
        schema = self.schema
        missing = [name for name in schema if name not in frame.columns]
        extra = [name for name in frame.columns if name not in schema]
        if missing or extra:
            raise ContractViolation(
                f"{self.name}: columns missing {missing}, unexpected {extra}. The producer and "
                "`contracts.tables` disagree; change them together."
            )
        frame = frame.select(list(schema))
        found = dict(zip(frame.columns, frame.dtypes, strict=True))  # `frame.schema` is built anew at every access
        wrong = {name: str(found[name]) for name, dtype in schema.items() if found[name] != dtype}
        if wrong:
            expected = {name: str(schema[name]) for name in wrong}
            raise ContractViolation(f"{self.name}: dtypes {wrong}, expected {expected}. Cast in the producer.")
        for column in self.columns:
            if not column.nullable and (nulls := frame[column.name].null_count()):
                raise ContractViolation(
                    f"{self.name}.{column.name}: {nulls} null values in a column that allows none. "
                    "Quarantine these rows before writing."
                )
        if frame.height and (twice := int(frame.select(pl.struct(self.key).is_duplicated().sum()).item())):
            raise ContractViolation(f"{self.name}: {twice} rows share a key {self.key}. Deduplicate before writing.")
        bad = self.bad_rows(frame) if self.rules else frame.clear()
        if bad.height:
            raise ContractViolation(
                f"{self.name}: {bad.height} rows break rule {bad['broken_rule'][0]!r}, the first with key "
                f"{bad.select(self.key).row(0)}. Quarantine them before writing."
            )
        return frame


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
