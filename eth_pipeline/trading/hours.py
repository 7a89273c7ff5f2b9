"""What the account learns about each hour: prices, the signal's order, funding settlements.

Belongs here: making them from rows, and reading the rows from the lake as known at an instant. Does not belong:
acting on them (`timeline`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import Action, SignalState
from eth_pipeline.contracts.table import at
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.features.bars import aggregate
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.fills import PriceBar


@dataclass(frozen=True)
class Order:
    """What a signal asks for: `side` +1 long, -1 short, 0 flat; `share` of equity; whether it may open."""

    side: int
    share: float
    may_open: bool


@dataclass(frozen=True)
class HourPrices:
    """Prices of one hour: `fills` for orders, `marks` for stops; `note` names a fallback, empty without one."""

    fills: PriceBar
    marks: PriceBar
    known_at: datetime
    note: str


class Settlement(NamedTuple):
    """One funding settlement: its instant, the share of the position's value that longs pay shorts, when known."""

    instant: datetime
    rate: float
    known_at: datetime | None = None

    @property
    def chargeable_from(self) -> datetime:
        """Its instant; where it became known after its hour was over, the start of the hour in which it did."""
        if self.known_at is None:
            return self.instant
        return max(self.instant, floor_hour(self.known_at - _INSTANT))


_ORDER_COLUMNS = ("decision_time", "available_at", "state", "action", "allow_open", "position_share")
_SIDES = {Action.LONG.value: 1, Action.SHORT.value: -1, Action.HOLD.value: 0}
_INSTANT = timedelta(microseconds=1)


def hour_prices(lake: Lake, *, settings: Settings, first: datetime, until: datetime) -> Mapping[datetime, HourPrices]:
    """Prices of the closed hours from `first` on that were known by `until`; see `prices_from_bars`."""
    klines, marks = (
        lake.read(
            table,
            where=(pl.col("symbol") == settings.symbol)
            & (pl.col("interval") == settings.base_interval)
            & (pl.col("open_time") >= at(first))
            & (pl.col("available_at") <= at(until)),
        )
        for table in (KLINES, MARK_KLINES)
    )
    return prices_from_bars(klines, marks, base_interval=settings.base_interval)


def prices_from_bars(klines: pl.DataFrame, marks: pl.DataFrame, *, base_interval: str) -> Mapping[datetime, HourPrices]:
    """Prices of complete hours by the hour's start, ascending; hours without any bar are absent.

    Where one of last and mark price is missing the other stands in, and the note says so: an hour whose stops
    go unchecked is worse than an hour checked on the last price.

    Args:
        klines: bars of one symbol, columns of `KLINES`.
        marks: its mark price bars.
        base_interval: size of both.
    """
    last, mark = _hour_bars(klines, base_interval=base_interval), _hour_bars(marks, base_interval=base_interval)
    prices = {}
    for hour in sorted(last.keys() | mark.keys()):
        fills, fills_known = last.get(hour) or mark[hour]
        mark_bar, mark_known = mark.get(hour) or last[hour]
        missing = "mark" if hour not in mark else "last" if hour not in last else ""
        note = f"no {missing} price bar: {'last' if missing == 'mark' else 'mark'} price used" if missing else ""
        prices[hour] = HourPrices(fills=fills, marks=mark_bar, known_at=max(fills_known, mark_known), note=note)
    return prices


def orders(lake: Lake, *, settings: Settings, first: datetime, until: datetime) -> Mapping[datetime, Order]:
    """The order of each hour from `first` to `until` that has one; see `orders_from_signals`."""
    rows = lake.read(
        SIGNALS,
        where=(pl.col("symbol") == settings.symbol)
        & (pl.col("phase") == settings.phase)
        & pl.col("decision_time").is_between(at(first), at(until)),
        columns=list(_ORDER_COLUMNS),
    )
    return orders_from_signals(rows)


def orders_from_signals(signals: pl.DataFrame) -> Mapping[datetime, Order]:
    """The order of each hour whose signal was emitted before the hour was over.

    A record written later (a missed hour, a late evaluation) could not have been executed at the hour's open and
    is no order.

    Args:
        signals: rows of one symbol and phase, columns of `SIGNALS`.
    """
    in_time = signals.filter(pl.col("available_at") < pl.col("decision_time") + HOUR).select(_ORDER_COLUMNS)
    return {
        time: Order(side=_SIDES[action], share=share, may_open=allow_open and state != SignalState.BLOCKED.value)
        for time, _, state, action, allow_open, share in in_time.iter_rows()
    }


def settlements(lake: Lake, *, settings: Settings, first: datetime, until: datetime) -> tuple[Settlement, ...]:
    """Funding settlements from `first` on that were known by `until`, oldest first."""
    rows = lake.read(
        FUNDING_RATES,
        where=(pl.col("symbol") == settings.symbol)
        & (pl.col("funding_time") >= at(first))
        & (pl.col("available_at") <= at(until)),
    )
    return settlements_from_rates(rows)


def settlements_from_rates(rates: pl.DataFrame) -> tuple[Settlement, ...]:
    """Settlements of rows of one symbol, columns of `FUNDING_RATES`, oldest first."""
    rows = rates.sort("funding_time").select("funding_time", "funding_rate", "available_at")
    return tuple(Settlement(*row) for row in rows.iter_rows())


def first_signal(lake: Lake, *, settings: Settings) -> tuple[datetime, str] | None:
    """Decision time and provenance of the oldest signal of the account; None where there is none."""
    rows = lake.read(
        SIGNALS,
        where=(pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase),
        columns=["decision_time", "provenance"],
    ).sort("decision_time")
    return None if rows.is_empty() else rows.row(0)


def _hour_bars(bars: pl.DataFrame, *, base_interval: str) -> dict[datetime, tuple[PriceBar, datetime]]:
    hours = aggregate(bars, interval="1h", base_interval=base_interval)
    wanted = hours.select("open_time", "available_at", "open", "high", "low", "close")
    return {time: (PriceBar(*prices), known) for time, known, *prices in wanted.iter_rows()}
