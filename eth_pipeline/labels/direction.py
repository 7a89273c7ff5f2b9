"""What became of each hour: the forward return, its sign, and whether it paid, per horizon.

Belongs here: labels and their contract. Does not belong: weights for overlapping labels (`labels.weights`),
purging (`models.folds`).

**Prices.** A decision at T enters at the OPEN of the base bar that starts at T, the next bar, and leaves at the
CLOSE of the base bar that ends at T + h. Both are the mark price, because the last trade of an hour is noisy and
sometimes wrong (2024-10-28 21:00: the last trade was 1 % off). Hours before a symbol's first mark bar use the last
price and say so in `price_source`; one label never mixes the two, and a hole in the mark price is a hole.

**Missing.** A label whose entry or exit bar is missing, or still to come, is null. Nothing is ever compared with
NaN: the reviewed system turned that into the label 0.
"""

from datetime import timedelta

import polars as pl

from eth_pipeline.contracts.table import INSTANT, PROVENANCES, Column, Rule, TableContract
from eth_pipeline.errors import ProvenanceMismatch

HOUR = timedelta(hours=1)
_BPS = 1e-4


def labels_contract(*, horizons_hours: tuple[int, ...]) -> TableContract:
    """The table `labels`: one row per symbol and full hour."""
    per_horizon = [column for h in horizons_hours for column in _columns(h)]
    return TableContract(
        name="labels",
        row_is="what became of one symbol after one full hour",
        key=("symbol", "decision_time"),
        columns=(
            Column("symbol", pl.String, "text", "Exchange symbol."),
            Column("decision_time", INSTANT, "instant, UTC", "The full hour that is judged."),
            Column("available_at", INSTANT, "instant, UTC", "End of the row's longest label, the late entry included."),
            Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
            Column("price_source", pl.String, "text", "`mark`, or `last` before the first mark bar."),
            *per_horizon,
        ),
        rules=(
            Rule("known provenance", pl.col("provenance").is_in(PROVENANCES), "origin decides what may go live"),
            Rule("known price source", pl.col("price_source").is_in(["mark", "last"]), "two prices, never mixed"),
            *[
                Rule(f"up_{h}h is 0 or 1", pl.col(f"up_{h}h").is_in([0, 1]), "a direction has two sides")
                for h in horizons_hours
            ],
        ),
    )


def _columns(h: int) -> tuple[Column, ...]:
    return (
        Column(f"forward_return_{h}h", pl.Float64, "log return", f"Entered at the next bar, held {h} hours.", True),
        Column(f"up_{h}h", pl.Int8, "flag", "1 above zero, 0 below; null at exactly zero or unknown.", True),
        Column(f"pays_{h}h", pl.Int8, "sign", "Sign of the return where it exceeds the round trip cost, else 0.", True),
        Column(f"label_end_{h}h", INSTANT, "instant, UTC", "decision_time + horizon: the label needs prices up to it."),
        Column(f"late_return_{h}h", pl.Float64, "log return", f"Entered one hour late, held {h} hours.", True),
    )


def build_labels(
    *,
    mark_klines: pl.DataFrame,
    klines: pl.DataFrame,
    symbol: str,
    base_interval: str,
    horizons_hours: tuple[int, ...],
    round_trip_cost_bps: float,
) -> pl.DataFrame:
    """Label every full hour from the first to the last bar of `symbol`.

    Args:
        mark_klines: mark price bars, any symbols; decisive where they exist.
        klines: perpetual bars, any symbols; their span says which hours have a row.
        symbol: whose outcome.
        base_interval: bar size, `15m` or `1h`.
        horizons_hours: holding times.
        round_trip_cost_bps: what a return must exceed, either way, to pay.

    Returns:
        Rows of `labels_contract`, ascending. `forward_return_*` looks into the future by design: row T may be
        used for training only after `label_end_*`.

    Raises:
        ProvenanceMismatch: the bars mix origins.
    """
    contract = labels_contract(horizons_hours=horizons_hours)
    wanted = (pl.col("symbol") == symbol) & (pl.col("interval") == base_interval)
    mark, last = mark_klines.filter(wanted), klines.filter(wanted)
    hours = _hours(last)
    if not hours.height:
        return contract.empty()
    prices = [_prices(hours, mark, horizons_hours), _prices(hours, last, horizons_hours)]
    before_mark = pl.lit(True) if not mark.height else pl.col("decision_time") < mark["open_time"].min()
    rows = pl.concat([prices[0].filter(~before_mark), prices[1].filter(before_mark)]).sort("decision_time")
    longest = max(horizons_hours) * HOUR + HOUR
    return contract.conform(
        rows.with_columns(
            pl.lit(symbol).alias("symbol"),
            (pl.col("decision_time") + longest).alias("available_at"),
            pl.lit(_provenance(mark, last)).alias("provenance"),
            pl.when(before_mark).then(pl.lit("last")).otherwise(pl.lit("mark")).alias("price_source"),
        )
        .with_columns(expr for h in horizons_hours for expr in _label(h, cost=round_trip_cost_bps * _BPS))
        .select(list(contract.schema))
    )


def _hours(bars: pl.DataFrame) -> pl.DataFrame:
    if not bars.height:
        return bars.select(pl.col("open_time").alias("decision_time"))
    first = pl.col("open_time").min().dt.offset_by("-1us").dt.truncate("1h").dt.offset_by("1h")
    last = pl.col("close_time").max().dt.truncate("1h")
    return bars.select(pl.datetime_range(first, last, interval="1h").alias("decision_time"))


def _prices(hours: pl.DataFrame, bars: pl.DataFrame, horizons_hours: tuple[int, ...]) -> pl.DataFrame:
    """Entry prices at T and T + 1 h, exit prices at T + h and T + 1 h + h; null where the bar is missing."""
    bars = bars.with_columns(pl.col("open", "close").fill_nan(None))
    opens = bars.select(pl.col("open_time").alias("_at"), pl.col("open").alias("_price"))
    closes = bars.select(pl.col("close_time").alias("_at"), pl.col("close").alias("_price"))
    rows = _at(_at(hours, opens, HOUR * 0, "entry"), opens, HOUR, "late_entry")
    for h in horizons_hours:
        rows = _at(_at(rows, closes, HOUR * h, f"exit_{h}h"), closes, HOUR * (h + 1), f"late_exit_{h}h")
    return rows


def _at(rows: pl.DataFrame, prices: pl.DataFrame, later: timedelta, name: str) -> pl.DataFrame:
    return (
        rows.with_columns((pl.col("decision_time") + later).alias("_at"))
        .join(prices.rename({"_price": name}), on="_at", how="left", maintain_order="left")
        .drop("_at")
    )


def _label(h: int, *, cost: float) -> list[pl.Expr]:
    forward = (pl.col(f"exit_{h}h") / pl.col("entry")).log()
    late = (pl.col(f"late_exit_{h}h") / pl.col("late_entry")).log()
    return [
        forward.alias(f"forward_return_{h}h"),
        pl.when(forward > 0).then(1).when(forward < 0).then(0).cast(pl.Int8).alias(f"up_{h}h"),
        pl.when(forward.abs() > cost)
        .then(forward.sign())
        .when(forward.is_not_null())
        .then(0.0)
        .cast(pl.Int8)
        .alias(f"pays_{h}h"),
        (pl.col("decision_time") + HOUR * h).alias(f"label_end_{h}h"),
        late.alias(f"late_return_{h}h"),
    ]


def _provenance(*frames: pl.DataFrame) -> str:
    origins = sorted({origin for frame in frames for origin in frame["provenance"].unique()})
    if len(origins) != 1:
        raise ProvenanceMismatch(
            f"Labels would mix bars of {', '.join(origins)}. Use one home (ETH_PIPELINE_HOME) per exchange."
        )
    return str(origins[0])
