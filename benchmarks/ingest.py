"""Full-history ingestion from the embedded exchange: seconds, peak memory, requests, second run, one hour, linearity.

    python benchmarks/ingest.py [--years 6] [--symbols 4] [--now 2025-06-29T12:00:00Z]

The exchange runs in a process of its own, on the same cores; the ingesting process is measured alone. The synthetic
market is generated before the clock starts; its archive files are made while they are asked for, which is work that
the real archive does not cost.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figure import at_most, compared, own_peak_mib, print_figure
from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.limits import Limits
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import ExchangeSettings, Settings

ALL_SYMBOLS = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT")


def serve(pipe: Connection, start: datetime, now: datetime) -> None:
    """The exchange's process: say the URL, then obey `advance` until told to stop."""
    market = SyntheticMarket(seed=7, start=start, end=now + timedelta(days=2), symbols=ALL_SYMBOLS)
    for symbol in ALL_SYMBOLS:
        market.bars("klines", symbol, until=now + timedelta(days=1))
    with Sandbox(market, now=now, limits=Limits.none()) as sandbox:
        pipe.send(sandbox.url)
        while (word := pipe.recv()) != "stop":
            sandbox.clock.advance(timedelta(hours=word))
            pipe.send(iso(sandbox.clock.now()))


def ingest(pipe: Connection, url: str, home: Path, symbols: tuple[str, ...], start: datetime, now: datetime) -> None:
    """The measured process: every stream once; seconds, requests, rows and this process's peak memory."""
    urls = {"futures_url": url, "spot_url": url, "archive_url": url}
    settings = Settings(
        home=home,
        symbol=symbols[0],
        cross_symbols=symbols[1:],
        history_start=start,
        exchange=ExchangeSettings.model_validate({**urls, "bar_wait_seconds": 0.0}),
    )
    seconds: dict[str, float] = {}
    requests = rows = missing = 0
    with Transport(settings.exchange, state_path=home / "state.sqlite") as transport:
        for stream in STREAMS:
            started = time.perf_counter()
            results = ingest_stream(
                stream, transport=transport, lake=Lake(settings.lake_location), settings=settings, now=now
            )
            seconds[stream] = round(time.perf_counter() - started, 2)
            requests += sum(result.requests for result in results)
            rows += sum(result.inserted for result in results)
            missing += sum(result.missing_rows for result in results)
    total = round(sum(seconds.values()), 2)
    counted = {"requests": requests, "rows": rows, "missing": missing}
    pipe.send({"seconds": total, "peak_mib": round(own_peak_mib()), **counted, "by_stream": seconds})


def measured(*arguments: Any) -> dict[str, Any]:
    """One ingestion in a fresh process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=ingest, args=(theirs, *arguments))
    process.start()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def print_figures(
    few: dict[str, Any],
    first: dict[str, Any],
    again: dict[str, Any],
    hour: dict[str, Any],
    *,
    symbols: int,
    years: float,
) -> None:
    """The four runs as figures; memory is that of each run's own process."""
    history = f"{years:g} years, {symbols} symbols"
    peak = first["peak_mib"]
    print_figure(history, first["seconds"], "s", at_most(240), peak_mib=peak)
    print_figure(f"memory of {history}", peak, "MiB", at_most(1_536), peak_mib=peak)
    print_figure("one symbol", few["seconds"], "s", compared(first["seconds"], "all"), peak_mib=few["peak_mib"])
    if symbols > 1:
        added = (first["seconds"] - few["seconds"]) / ((symbols - 1) * years)
        print_figure("each added symbol-year", added, "s", peak_mib=peak)
    print_figure("second run", again["seconds"], "s", at_most(5), peak_mib=again["peak_mib"])
    print_figure("an hour later", hour["seconds"], "s", peak_mib=hour["peak_mib"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=float, default=6.0)
    parser.add_argument("--symbols", type=int, default=4)
    parser.add_argument("--now", default="2025-06-29T12:00:00Z")
    options = parser.parse_args()
    now = parse_instant(options.now)
    start = (now - timedelta(days=365.25 * options.years)).replace(hour=0, minute=0)
    symbols = ALL_SYMBOLS[: options.symbols]
    ours, theirs = multiprocessing.Pipe()
    exchange = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, start, now))
    exchange.start()
    url = ours.recv()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        few = measured(url, home / "few", symbols[:1], start, now)
        print("one symbol     ", json.dumps(few))
        first = measured(url, home / "all", symbols, start, now)
        print("all symbols    ", json.dumps(first))
        again = measured(url, home / "all", symbols, start, now)
        print("second run     ", json.dumps(again))
        ours.send(1)
        later = parse_instant(ours.recv())
        hour = measured(url, home / "all", symbols, start, later)
        print("an hour later  ", json.dumps(hour))
        print_figures(few, first, again, hour, symbols=len(symbols), years=options.years)
    ours.send("stop")
    exchange.join()


if __name__ == "__main__":
    sys.exit(main())
