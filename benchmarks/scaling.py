"""What a unit of work costs as the system grows: symbols, years of history, hours of signals, commits.

    python benchmarks/scaling.py [tiny]

Each size runs in a process of its own, and costs are CPU seconds of that process, so that a busy machine changes
neither the costs nor the ratios much. A figure is the cost of one unit at the largest size, held against the cost at
the smallest: 1.00 is flat. Memory is what the largest size needed. Prints every size besides. Ingestion per symbol-year
is `ingest.py`'s.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import polars as pl

from benchmarks.figure import compared, own_peak_mib, print_figure
from benchmarks.growing_home import HOUR, account_hour, data_hour, fill_account, fill_lake, fill_log, signal_hour

YEAR_HOURS = 8_760


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of one unit, and the most memory that its process has held, in MiB."""

    milliseconds: float
    peak_mib: float


def cross_features(symbols: int, hours: int) -> float:
    """A thousand feature values of further symbols, which are copies of one under other names."""
    from eth_pipeline.features.build import build_features
    from eth_pipeline.features.catalogue import feature_names
    from eth_pipeline_tests.random_market import CROSS, MAIN, random_market

    market = random_market(hours=hours, symbols=(MAIN, CROSS[0]))
    names = tuple(f"C{number:02d}USDT" for number in range(symbols))

    def widened(frame: pl.DataFrame) -> pl.DataFrame:
        copies = [frame.filter(pl.col("symbol") == CROSS[0]).with_columns(symbol=pl.lit(name)) for name in names]
        return pl.concat([frame.filter(pl.col("symbol") == MAIN), *copies])

    wide = replace(market, **{name: widened(getattr(market, name)) for name in market.__dataclass_fields__})

    def built(cross: tuple[str, ...]) -> tuple[float, int]:
        busy = time.process_time()
        rows = build_features(wide, symbol=MAIN, cross_symbols=cross, base_interval="1h")
        return time.process_time() - busy, rows.height * len(feature_names(symbol=MAIN, cross_symbols=cross))

    built(())  # what is loaded and compiled once
    (alone, own), (together, all_of_them) = built(()), built(names)
    return 1e6 * (together - alone) / (all_of_them - own)


def features(hours: int) -> float:
    """A thousand feature values of four symbols."""
    from eth_pipeline.features.build import build_features
    from eth_pipeline.features.catalogue import feature_names
    from eth_pipeline_tests.random_market import CROSS, MAIN, random_market

    named: dict[str, Any] = {"symbol": MAIN, "cross_symbols": CROSS}
    market = random_market(hours=hours)
    build_features(market.until(market.klines["open_time"][200]), **named, base_interval="1h")
    busy = time.process_time()
    rows = build_features(market, **named, base_interval="1h")
    values = rows.height * len(feature_names(**named))
    return 1e6 * (time.process_time() - busy) / values


def rebuilt_hour(hours: int) -> float:
    """One hour of a history that is decided at once."""
    from eth_pipeline.settings import Settings
    from eth_pipeline.signals.history import HistoricalInputs, decide_history, hours_between
    from eth_pipeline.signals.technical.consensus import HISTORY_NEEDED
    from eth_pipeline.signals.technical.consensus_history import consensus_history
    from eth_pipeline_tests.random_market import BEGIN, MAIN, random_market

    settings = Settings(base_interval="1h")
    lead = HISTORY_NEEDED // HOUR
    klines = random_market(hours=lead + hours, symbols=(MAIN,)).klines
    times = hours_between(BEGIN + lead * HOUR, BEGIN + (lead + hours) * HOUR)
    busy = time.process_time()
    consensus = consensus_history(
        klines, symbol=MAIN, base_interval="1h", decision_times=times, settings=settings.signals
    )
    inputs = HistoricalInputs(consensus, {}, dict.fromkeys(times, 1.0), {})
    origin: dict[str, Any] = {"provenance": "simulated", "run_id": "", "code_commit": "", "config_digest": ""}
    for _ in decide_history(inputs, settings=settings, decision_times=times, table_versions={}, **origin):
        pass
    return 1e3 * (time.process_time() - busy) / len(times)


def measured(prepare: Callable[..., None] | None, work: Callable[..., float], arguments: tuple[int, ...]) -> Cost:
    """One size: prepared in one process, measured in another, so that the memory is that of the work alone."""
    with tempfile.TemporaryDirectory() as folder:
        if prepare is None:
            return in_process(work, arguments)
        in_process(prepare, (Path(folder), *arguments))
        return in_process(work, (Path(folder), *arguments))


def in_process(work: Callable[..., float | None], arguments: tuple[Any, ...]) -> Cost:
    """What `work` returns and the memory it took, in a fresh process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        cost: Cost = ours.recv()
    finally:
        process.join()
    return cost


def _run(pipe: Connection, work: Callable[..., float | None], arguments: tuple[Any, ...]) -> None:
    milliseconds = work(*arguments)
    pipe.send(Cost(milliseconds or 0.0, own_peak_mib()))


def grow(
    name: str,
    unit: str,
    work: Callable[..., float],
    sizes: Mapping[str, tuple[int, ...]],
    *,
    prepare: Callable[..., None] | None = None,
) -> None:
    """Print every size, then the largest against the smallest."""
    costs = {size: measured(prepare, work, arguments) for size, arguments in sizes.items()}
    for size, cost in costs.items():
        print(f"  {name}, {size}: {cost.milliseconds:.2f} CPU ms per {unit}, peak {cost.peak_mib:.0f} MiB", flush=True)
    smallest, *larger = costs
    before = costs[smallest]
    for size in larger:
        cost, baseline = costs[size], compared(before.milliseconds, smallest)
        print_figure(f"{unit}, {size}", cost.milliseconds, "CPU ms", baseline, peak_mib=cost.peak_mib)
    largest, memory = costs[larger[-1]], compared(before.peak_mib, smallest)
    print_figure(f"memory of it, {larger[-1]}", largest.peak_mib, "MiB", memory, peak_mib=largest.peak_mib)


def main(*, tiny: bool) -> None:
    year, history = (200, 900) if tiny else (YEAR_HOURS, YEAR_HOURS)
    day, week, symbols = 24, 36 if tiny else 168, 4 if tiny else 16
    many = 2 if tiny else 6
    by_years = {"1 year": (history,), f"{many} years": (history * many,)}
    by_hours = {"1 day": (day,), "1 year": (year,)}
    by_symbols = {f"{n} more symbols": (n, history) for n in (1, symbols - 1)}
    grow("features", "1,000 values of other symbols", cross_features, by_symbols)
    grow("features", "1,000 values", features, by_years)
    grow("data", "hour of data", data_hour, by_years, prepare=fill_lake)
    grow("rebuild", "hour rebuilt", rebuilt_hour, by_hours)
    at_once = {name: (hours, 0) for name, (hours,) in by_hours.items()}
    grow("signals", "hour of signals", signal_hour, at_once, prepare=fill_log)
    one_by_one: dict[str, tuple[int, ...]] = {f"{n} commits": (week + 1, n) for n in (day, week)}
    one_by_one[f"{week} commits, maintained"] = (week + 1, week, True)
    grow("commits", "hour of signals", signal_hour, one_by_one, prepare=fill_log)
    grow("account", "hour of the account", account_hour, by_hours, prepare=fill_account)


if __name__ == "__main__":
    main(tiny=sys.argv[1:] == ["tiny"])
