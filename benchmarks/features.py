"""How fast features are computed: the whole history at once, and the newest hour from its lookback alone.

    python benchmarks/features.py [hours]

A seeded random market of four symbols with every source present, 43,800 hourly bars (5 years) by default. Prints
rows per second and values per second of the batch (best of five), the rows per second that the same rate of values
makes at 150 features, milliseconds of one row (best and median of thirty), CPU milliseconds of the same (what is left
of it on a busy machine), and peak memory.
"""

import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figure import at_least, at_most, print_figure
from eth_pipeline.features.build import LOOKBACK, build_features
from eth_pipeline.features.catalogue import feature_names
from eth_pipeline_tests.random_market import BEGIN, CROSS, MAIN, random_market

HOUR = timedelta(hours=1)
COMPARED_WIDTH = 150


def main(hours: int) -> None:
    market = random_market(hours=hours)
    width = len(feature_names(symbol=MAIN, cross_symbols=CROSS))
    wall, cpu = [], []
    for _ in range(5):
        started, started_cpu = time.perf_counter(), time.process_time()
        rows = build_features(market, symbol=MAIN, cross_symbols=CROSS, base_interval="1h")
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - started_cpu)
    print(
        f"batch: {rows.height:,} rows x {width} features in {min(wall):.3f} s (CPU {min(cpu):.3f} s): "
        f"{rows.height / min(wall):,.0f} rows/s, {rows.height * width / min(wall) / 1e6:.1f} M values/s, "
        f"{rows.height * width / min(wall) / COMPARED_WIDTH:,.0f} rows/s per {COMPARED_WIDTH} features"
    )
    per_compared = rows.height * width / min(wall) / COMPARED_WIDTH
    print_figure(f"rows a second at {COMPARED_WIDTH} features", per_compared, "rows/s", at_least(150_000))
    newest = BEGIN + hours * HOUR
    tail = market.since(newest - LOOKBACK)
    wall, cpu = [], []
    for _ in range(31):
        started, started_cpu = time.perf_counter(), time.process_time()
        build_features(tail, symbol=MAIN, cross_symbols=CROSS, base_interval="1h", start=newest - HOUR, end=newest)
        wall.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - started_cpu))
    print(
        f"last row: median {statistics.median(wall[1:]):.0f} ms, best {min(wall):.0f} ms "
        f"(CPU median {statistics.median(cpu[1:]):.0f} ms, best {min(cpu):.0f} ms) "
        f"from {LOOKBACK // HOUR} hours"
    )
    print_figure("last row, median", statistics.median(wall[1:]), "ms", at_most(50))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 43_800)
