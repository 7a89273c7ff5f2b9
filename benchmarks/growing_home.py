"""Homes of a given size, and what one more hour costs in them.

Belongs here: filling a lake, a signal log, an account, and living hours in them. Does not belong: which sizes are
compared (`scaling`). Filling and living are separate, so that each can have a process of its own.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

HOUR = timedelta(hours=1)
REPEATED = 8
"""Hours that are lived at each size; the cost of one is the mean of all but the first."""


def fill_lake(folder: Path, hours: int) -> None:
    """Every stream of four symbols and their features; beside the lake the rows of the hours to come."""
    from eth_pipeline.contracts.tables import STREAMS
    from eth_pipeline.features.build import build_features
    from eth_pipeline.features.catalogue import features_contract
    from eth_pipeline_tests.random_market import BEGIN, random_market

    settings, lake = home_of(folder)
    market, begin = random_market(hours=hours + REPEATED), BEGIN + hours * HOUR
    for stream, contract in STREAMS.items():
        rows = getattr(market, stream)
        lake.replace(contract, rows.filter(pl.col("available_at") <= begin))
        rows.filter(pl.col("available_at") > begin).write_parquet(folder / f"{stream}.parquet")
    named: dict[str, Any] = {"symbol": settings.symbol, "cross_symbols": settings.cross_symbols}
    lake.replace(features_contract(**named), build_features(market.until(begin), **named, base_interval="1h"))


def data_hour(folder: Path, hours: int) -> float:
    """The newest hour's bars, freshness, features and consensus in a lake of `hours`."""
    from eth_pipeline.contracts.tables import STREAMS
    from eth_pipeline.features.build import LOOKBACK, build_features
    from eth_pipeline.features.catalogue import features_contract
    from eth_pipeline.features.sources import load_sources
    from eth_pipeline.signals.evidence import compute_consensus
    from eth_pipeline.signals.gating.freshness import measure_freshness
    from eth_pipeline_tests.random_market import BEGIN

    settings, lake = home_of(folder)
    named: dict[str, Any] = {"symbol": settings.symbol, "cross_symbols": settings.cross_symbols}
    table, coming = features_contract(**named), {name: pl.read_parquet(folder / f"{name}.parquet") for name in STREAMS}

    def live(number: int) -> None:
        now = BEGIN + (hours + number) * HOUR
        for stream, contract in STREAMS.items():
            known = pl.col("available_at").is_between(now - HOUR, now, closed="right")
            lake.upsert(contract, coming[stream].filter(known))
        measure_freshness(lake, settings=settings, now=now)
        start = lake.newest(table, where=pl.col("symbol") == settings.symbol)
        since = now - HOUR - LOOKBACK
        sources = load_sources(lake, symbols=settings.symbols, base_interval="1h", since=since, until=None)
        lake.upsert(table, build_features(sources, **named, base_interval="1h", start=start))
        compute_consensus(lake, settings=settings, decision_time=now)

    return lived(live)


def fill_log(folder: Path, hours: int, commits: int, maintained: bool = False) -> None:
    """A signal log of `hours`, the last `commits` of them written one by one."""
    from eth_pipeline.contracts.decision_tables import SIGNALS
    from eth_pipeline.operations.signal_log import SignalLog
    from eth_pipeline_tests.decision_samples import signal
    from eth_pipeline_tests.random_market import BEGIN

    settings, lake = home_of(folder)
    log, record = SignalLog(lake, folder=folder / "logs"), signal(settings)
    times = [BEGIN + number * HOUR for number in range(hours)]
    records = [record.model_copy(update={"decision_time": time, "emitted_at": time}) for time in times]
    log.write_many(records[: hours - commits])
    for one in records[hours - commits :]:
        log.write(one)
    if maintained:
        lake.maintain(SIGNALS, retention_hours=0)


def signal_hour(folder: Path, hours: int, *_: int) -> float:
    """One hour's record, with what a run reads around it."""
    from eth_pipeline.operations.signal_log import SignalLog
    from eth_pipeline.signals.gating.states import LOOK_BACK_HOURS
    from eth_pipeline_tests.decision_samples import signal
    from eth_pipeline_tests.random_market import BEGIN

    settings, lake = home_of(folder)
    log, record = SignalLog(lake, folder=folder / "logs"), signal(settings)
    mine: dict[str, Any] = {"symbol": settings.symbol, "phase": settings.phase}

    def live(number: int) -> None:
        hour = BEGIN + (hours + number - 1) * HOUR
        log.oldest(**mine)
        log.hours_without_record(max(BEGIN, hour - timedelta(days=31)), hour - HOUR, **mine)
        log.between(hour - LOOK_BACK_HOURS * HOUR, hour, **mine)
        log.write(record.model_copy(update={"decision_time": hour, "emitted_at": hour}))
        log.tail(1, **mine)

    return lived(live)


def fill_account(folder: Path, hours: int) -> None:
    """Bars and signals, long, short and flat by turns, and the account that has followed them for `hours`."""
    from eth_pipeline.contracts.decision_tables import SIGNALS
    from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
    from eth_pipeline.signals.record_rows import signal_rows
    from eth_pipeline.trading.account import advance_account
    from eth_pipeline_tests.decision_samples import signal
    from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market

    settings, lake = home_of(folder)
    market = random_market(hours=hours + REPEATED + 1, symbols=(MAIN,))
    lake.replace(KLINES, market.klines)
    lake.replace(MARK_KLINES, market.mark_klines)
    turns = [signal(settings, BEGIN, net=net) for net in (60.0, -60.0, 0.0)]
    made = [
        turns[number // 6 % 3].model_copy(update=dict.fromkeys(("decision_time", "emitted_at"), BEGIN + number * HOUR))
        for number in range(hours + REPEATED + 1)
    ]
    lake.replace(SIGNALS, signal_rows(made))
    advance_account(lake=lake, settings=settings, until=BEGIN + hours * HOUR)


def account_hour(folder: Path, hours: int) -> float:
    """One step of the paper account."""
    from eth_pipeline.trading.account import advance_account
    from eth_pipeline_tests.random_market import BEGIN

    settings, lake = home_of(folder)
    return lived(lambda number: advance_account(lake=lake, settings=settings, until=BEGIN + (hours + number) * HOUR))


def home_of(folder: Path) -> tuple[Any, Any]:
    """Settings of a home in `folder`, and its lake."""
    from eth_pipeline.lake import Lake
    from eth_pipeline.settings import Settings

    settings = Settings(home=folder, base_interval="1h")
    return settings, Lake(settings.lake_location)


def lived(live: Callable[[int], object]) -> float:
    """CPU milliseconds of one of the hours 2, 3, ...; the first loads and compiles."""
    live(1)
    busy = time.process_time()
    for number in range(2, REPEATED + 1):
        live(number)
    return 1e3 * (time.process_time() - busy) / (REPEATED - 1)
