"""How long one hour's forecast takes from the verified production bundle, one thread.

    python benchmarks/forecast.py HOME [calls]

HOME is a home with a production bundle and features, for example the demo's. Prints p50 and p99 of arranging one hour's
inputs and asking every model of the bundle (probabilities, quantiles, regime), of opening the sessions once, and of
verifying the bundle as every load does; and peak memory.
"""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from benchmarks.figure import at_most, print_figure
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.settings import load_settings
from eth_pipeline.signals.evidence import feature_rows
from eth_pipeline.signals.forecasting.bundle_in_use import production_bundle
from eth_pipeline.signals.forecasting.forecast import BundleForecaster


def main(home: Path, calls: int) -> None:
    os.environ["ETH_PIPELINE_HOME"] = str(home)
    settings = load_settings()
    lake = Lake(settings.lake_location)
    table = features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols)
    hour = lake.newest(table, where=pl.col("symbol") == settings.symbol)
    assert hour is not None, f"{home} has no features"
    started = time.perf_counter()
    bundle, version = production_bundle(settings, now=hour)
    verified = time.perf_counter() - started
    started = time.perf_counter()
    forecaster = BundleForecaster(bundle, version=version)
    opened = time.perf_counter() - started
    rows = feature_rows(lake, settings, hour, hours=bundle.contract.window_hours)
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        forecaster.forecast(rows, now=hour + timedelta(seconds=20))
        taken.append(1e3 * (time.perf_counter() - started))
    p50, p99 = np.percentile(taken[calls // 10 :], (50, 99))
    contract = bundle.contract
    print(
        f"{len(contract.files)} model files, {len(contract.inputs)} inputs, "
        f"{len(contract.models)} forecasters, {len(contract.quantiles)} quantile models"
    )
    print_figure(f"forecast of one hour, p50 of {calls:,} calls", p50, "ms", at_most(3))
    print_figure(f"forecast of one hour, p99 of {calls:,} calls", p99, "ms", at_most(8))
    print_figure("verifying the bundle, once", 1e3 * verified, "ms")
    print_figure("opening its sessions, once", 1e3 * opened, "ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2_000)
