"""The past once more: signals and account of a span of hours, from what could have been known at each.

Belongs here: gathering the inputs of a span and letting decisions and account take turns. Does not belong: a decision
(`signals.history`), the course of an hour (`timeline`), storing what comes out.

The forecasts come from monthly vintages, so no hour is forecast by a model that knew it. Decision and account take
turns as they do live: the record of an hour sees the share held and the limits met after the hour before. A vintage's
quantiles size as a bundle's do; hours of a vintage without any are sized by conviction (`Span.unsized`). What cannot be
rebuilt is said in `signals.history`; two more things differ from the hours as they were lived: the account begins empty
at the first hour, and a repaired row is read as repaired.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import polars as pl

from eth_pipeline.contracts.artifact import Provenance
from eth_pipeline.contracts.clock import HOUR, floor_hour
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.quality import GAP_LEDGER
from eth_pipeline.contracts.signal import Action, Reason, ReasonCode, SignalRecord
from eth_pipeline.contracts.table import TableContract, at
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.runs.vintages import upgrade_forecasts
from eth_pipeline.settings import Settings
from eth_pipeline.signals.evidence import VOLATILITY
from eth_pipeline.signals.historical_inputs import ledger_gaps, vintage_forecasts
from eth_pipeline.signals.history import HistoricalInputs, decide_history, hours_between
from eth_pipeline.signals.record_rows import signal_rows
from eth_pipeline.signals.sizing.funding import funding_outlooks
from eth_pipeline.signals.technical.consensus import HISTORY_NEEDED
from eth_pipeline.signals.technical.consensus_history import consensus_history
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.hours import HourPrices, Order, Settlement, prices_from_bars, settlements_from_rates
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS
from eth_pipeline.trading.timeline import decide_hours, open_account

REBUILT_SIGNALS = replace(SIGNALS, name="rebuilt_signals", row_is="what would have been signalled at one past hour")
REBUILT_EVENTS = replace(ACCOUNT_EVENTS, name="rebuilt_account_events")
"""Of their own: a rebuilt hour never stands where a lived one was recorded."""
_SIDES = {Action.LONG: 1, Action.SHORT: -1, Action.HOLD: 0}
_FUNDING_BEFORE = timedelta(days=3)


@dataclass(frozen=True)
class Span:
    """Everything read from the lake for the hours [first, end)."""

    hours: tuple[datetime, ...]
    inputs: HistoricalInputs
    prices: Mapping[datetime, HourPrices]
    due: tuple[Settlement, ...]
    provenance: str

    @property
    def unsized(self) -> int:
        """Hours whose forecast has no quantiles: an old vintage, or the volatility that scales them was missing."""
        return sum(not any(forecast.quantiles.values()) for _, forecast in self.inputs.forecasts.values())


@dataclass(frozen=True)
class Rebuilt:
    """Rows of `REBUILT_SIGNALS`, and the account after the last hour; its `events` are the ledger."""

    signals: pl.DataFrame
    book: Book


def read_span(lake: Lake, *, settings: Settings, first: datetime, end: datetime, algorithm: str, commit: str) -> Span:
    """Read what was known at the hours of [first, end).

    Args:
        algorithm: whose vintages forecast.
        commit: of the running code, for the records.

    Raises:
        SettingsInvalid: there is no bar in the span.
    """
    symbol = settings.symbol
    bars = _read(lake, KLINES, settings, first - HISTORY_NEEDED, end)
    marks = _read(lake, MARK_KLINES, settings, first - HOUR, end + HOUR)
    traded = bars.filter(pl.col("close_time") > at(first))
    if not traded.height:
        raise SettingsInvalid(f"No bar of {symbol} lies between {first} and {end}. Ingest the span, or choose another.")
    newest = floor_hour(cast(datetime, traded["close_time"].max()))
    hours = hours_between(first, min(end, newest + HOUR))
    features = lake.read(
        features_contract(symbol=symbol, cross_symbols=settings.cross_symbols),
        where=(pl.col("symbol") == symbol) & _between("decision_time", first, end),
        columns=["decision_time", "coverage", VOLATILITY],
    )
    coverage = dict(features.select("decision_time", "coverage").iter_rows())
    funding = lake.read(
        FUNDING_RATES, where=(pl.col("symbol") == symbol) & _between("funding_time", first - _FUNDING_BEFORE, end)
    )
    upgrade_forecasts(lake)
    forecasts = lake.read(
        HISTORICAL_FORECASTS,
        where=(pl.col("symbol") == symbol) & (pl.col("algorithm") == algorithm) & _between("decision_time", first, end),
    )
    provenance = str(traded["provenance"][0])
    inputs = HistoricalInputs(
        consensus=consensus_history(
            bars, symbol=symbol, base_interval=settings.base_interval, decision_times=hours, settings=settings.signals
        ),
        forecasts=vintage_forecasts(
            forecasts,
            coverage=coverage,
            settings=settings,
            code_commit=commit,
            provenance=cast(Provenance, provenance),
        ),
        coverage=coverage,
        mark_prices=dict(marks.select("close_time", "close").iter_rows()),
        funding=funding_outlooks(funding, hours),
        gaps=ledger_gaps(
            lake.read(GAP_LEDGER),
            symbol=symbol,
            decision_times=hours,
            window_hours=settings.freshness.gap_window_hours,
        ),
        volatility={time: value for time, value in features.select("decision_time", VOLATILITY).iter_rows() if value},
    )
    begin = at(first)
    prices = prices_from_bars(
        bars.filter(pl.col("open_time") >= begin),
        marks.filter(pl.col("open_time") >= begin),
        base_interval=settings.base_interval,
    )
    due = settlements_from_rates(funding.filter(pl.col("funding_time") >= begin))
    return Span(hours=hours, inputs=inputs, prices=prices, due=due, provenance=provenance)


def rebuild(
    span: Span,
    *,
    settings: Settings,
    run_id: str,
    code_commit: str,
    config_digest: str,
    table_versions: Mapping[str, int],
    emitted_after: timedelta = timedelta(0),
) -> Rebuilt:
    """Decide every hour of `span` and let the account follow.

    Args:
        span: see `read_span`.
        settings: of the phase that is rebuilt.
        run_id, code_commit, config_digest, table_versions: origin of every record.
        emitted_after: how long after its hour a record counts as emitted.
    """
    book = open_account(settings.account, at=span.hours[0])
    records = decide_history(
        span.inputs,
        settings=settings,
        decision_times=span.hours,
        provenance=span.provenance,
        run_id=run_id,
        code_commit=code_commit,
        config_digest=config_digest,
        table_versions=table_versions,
        held_share=lambda hour: book.held_share(span.inputs.mark_prices.get(hour)),
        further=lambda hour: _limits(book, hour),
        emitted_after=emitted_after,
    )
    taken: list[SignalRecord] = []

    def decide(hour: datetime, _: Book) -> Order | None:
        return _order(_next_of(records, hour, taken))

    known = {hour: span.prices[hour] for hour in span.prices if hour >= span.hours[0]}
    decide_hours(book, prices=known, decide=decide, due=span.due)
    taken += records  # hours after the last price, the newest one for example
    return Rebuilt(signals=signal_rows(taken), book=book)


def _next_of(records: Iterator[SignalRecord], hour: datetime, taken: list[SignalRecord]) -> SignalRecord | None:
    """The record of `hour`; those of earlier hours, that had no price, are taken on the way."""
    while not taken or taken[-1].decision_time < hour:
        record = next(records, None)
        if record is None:
            return None
        taken.append(record)
    return taken[-1] if taken[-1].decision_time == hour else None


def _order(record: SignalRecord | None) -> Order | None:
    if record is None:
        return None
    return Order(side=_SIDES[record.action], share=record.position_share, may_open=record.allow_open)


def _limits(book: Book, hour: datetime) -> tuple[Reason, ...]:
    return tuple(
        Reason(code=ReasonCode.RISK_LIMIT, subject=refusal.limit, detail=refusal.sentence)
        for refusal in book.risk(now=hour).refusals
    )


def _read(lake: Lake, table: TableContract, settings: Settings, first: datetime, end: datetime) -> pl.DataFrame:
    ours = (pl.col("symbol") == settings.symbol) & (pl.col("interval") == settings.base_interval)
    return lake.read(table, where=ours & _between("open_time", first, end)).sort("open_time")


def _between(name: str, first: datetime, end: datetime) -> pl.Expr:
    return pl.col(name).is_between(at(first), at(end), closed="left")
