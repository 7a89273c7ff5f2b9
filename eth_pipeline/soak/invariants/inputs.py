"""The input of a record: fresh, whole, true, and a model that verifies.

Belongs here: what forbids a record to be tradeable, and the whole lake against the market. Does not belong: the
market's rows (`truth`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.signal import SignalRecord, SignalState
from eth_pipeline.contracts.table import at
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.errors import BundleRefused
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.verification import verify_bundle
from eth_pipeline.sandbox.market import Market
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.bundle_in_use import expectations
from eth_pipeline.signals.gating.freshness import DATA_TIME, expected_symbols
from eth_pipeline.soak.truth import differences

_DECISIVE = ("klines", "mark_klines")


def tradeable_on_good_input(
    record: SignalRecord, *, lake: Lake, market: Market, settings: Settings, bars_may_change: bool
) -> Iterator[str]:
    """What forbids `record` to be tradeable; nothing for any other record.

    Args:
        bars_may_change: the exchange publishes bars that are not final, which nobody can see from outside.
    """
    if record.state is not SignalState.TRADEABLE:
        return
    yield from _stale(record, lake, settings)
    window = timedelta(hours=settings.freshness.gap_window_hours)
    found = differences(
        lake,
        market,
        settings=settings,
        since=record.decision_time - window,
        until=record.decision_time,
        streams=_DECISIVE,
        symbols=(settings.symbol,),
    )
    yield from (what for what in found if not (bars_may_change and " are wrong" in what))
    yield from _unverified(record, settings)


def _stale(record: SignalRecord, lake: Lake, settings: Settings) -> Iterator[str]:
    for table in STREAMS.values():
        time = DATA_TIME[table.name]
        known = pl.col("available_at") <= at(record.emitted_at)
        recent = pl.col(time) > at(record.emitted_at - timedelta(days=3))
        newest = dict(
            lake.read(table, where=known & recent, columns=["symbol", time]).group_by("symbol").agg(pl.max(time)).rows()
        )
        for symbol in expected_symbols(table.name, settings=settings):
            limits = settings.freshness.limits(table.name, is_main_symbol=symbol == settings.symbol)
            age = record.emitted_at - newest[symbol] if symbol in newest else None
            if limits.stale_policy != "record" and (age is None or age >= timedelta(hours=limits.max_lag_hours)):
                yield f"newest {table.name} of {symbol} is {'absent' if age is None else f'{age / HOUR:.2f} h old'}"


def _unverified(record: SignalRecord, settings: Settings) -> Iterator[str]:
    if not (record.ml.ml_available and record.ml.ml_fingerprint):
        yield "no model answered"
        return
    folder = settings.home / "production" / record.ml.ml_fingerprint
    try:
        bundle = verify_bundle(folder, **expectations(settings, now=record.emitted_at))
    except BundleRefused as refusal:
        yield f"its model {record.ml.ml_fingerprint[:12]} does not verify: {refusal}"
        return
    if bundle.fingerprint != record.ml.ml_fingerprint:
        yield f"its model says {record.ml.ml_fingerprint[:12]} and is {bundle.fingerprint[:12]}"


def lake_is_true(lake: Lake, market: Market, *, settings: Settings, since: datetime, until: datetime) -> Iterator[str]:
    """Every difference of every stream and symbol in (since, until]."""
    return differences(lake, market, settings=settings, since=since, until=until)
