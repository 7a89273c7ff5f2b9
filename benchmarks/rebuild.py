"""A year of signals and account rebuilt on recorded history, from monthly vintages.

    python benchmarks/rebuild.py FOLDER [year=2024] [vintages=12]

FOLDER holds recordings as the replay reads them; they are written to a lake in a temporary folder. Twelve vintages
(or fewer, as many months apart as the year then holds) are trained on everything before their first month and forecast
the months until the next; then signals and account of the year are rebuilt. Prints
seconds of each part, peak memory, and what the account would have done, on paper money and recorded prices.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from benchmarks.figure import at_most, print_figure
from benchmarks.real_history import CROSS, SYMBOL, recorded_sources
from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import available_feature_names, features_contract
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.lake import Lake
from eth_pipeline.models.dataset import make_training_set
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline.models.trees.quantile_forest import QuantileParameters
from eth_pipeline.models.vintages.vintage import train_vintage
from eth_pipeline.models.vintages.vintage_forecasts import score_vintage
from eth_pipeline.settings import Settings
from eth_pipeline.trading.performance import report
from eth_pipeline.trading.rebuild import read_span, rebuild


def main(folder: Path, year: int, vintages: int) -> None:
    sources = recorded_sources(folder)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), base_interval="1h")
        lake = Lake(settings.lake_location)
        fill(lake, sources, year, settings, vintages=vintages)
        started, busy = time.perf_counter(), time.process_time()
        span = read_span(
            lake,
            settings=settings,
            first=datetime(year, 1, 1, tzinfo=UTC),
            end=datetime(year + 1, 1, 1, tzinfo=UTC),
            algorithm="lightgbm",
            commit="",
        )
        read = time.perf_counter() - started
        rebuilt = rebuild(
            span, settings=settings, run_id="benchmark", code_commit="", config_digest="", table_versions={}
        )
        seconds = time.perf_counter() - started
        print(
            f"rebuild: {rebuilt.signals.height:,} hours in {seconds:.1f} s ({time.process_time() - busy:.1f} CPU s), "
            f"{read:.1f} s of it reading and consensus; {rebuilt.signals.height / seconds:,.0f} hours/s"
        )
        year_seconds = seconds * 8_760 / rebuilt.signals.height
        print_figure("a year of signals and account rebuilt", year_seconds, "s", at_most(60))
        print(f"forecast hours {len(span.inputs.forecasts):,}, of them sized by conviction {span.unsized:,}")
        print("states:", dict(rebuilt.signals["state"].value_counts().rows()))
        print("actions:", dict(rebuilt.signals["action"].value_counts().rows()))
        for name, value in report(rebuilt.book.events).figures.items():
            print(f"  {name}: {value}")


def fill(lake: Lake, sources: FeatureSources, year: int, settings: Settings, *, vintages: int) -> None:
    started = time.perf_counter()
    for table, rows in (
        (KLINES, sources.klines),
        (MARK_KLINES, sources.mark_klines),
        (FUNDING_RATES, sources.funding_rates),
    ):
        lake.replace(table, rows)
    features = build_features(sources, symbol=SYMBOL, cross_symbols=CROSS, base_interval="1h")
    lake.replace(features_contract(symbol=SYMBOL, cross_symbols=CROSS), features)
    horizons = settings.training.horizons_hours
    labels = build_labels(
        mark_klines=sources.mark_klines,
        klines=sources.klines,
        symbol=SYMBOL,
        base_interval="1h",
        horizons_hours=horizons,
        round_trip_cost_bps=settings.training.round_trip_cost_bps,
    )
    print(f"lake, features, labels: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    months = 12 // vintages
    for month in range(1, 13, months):
        cutoff = datetime(year, month, 1, tzinfo=UTC)
        last_month = month + months - 1
        end = datetime(year + last_month // 12, last_month % 12 + 1, 1, tzinfo=UTC)
        names = available_feature_names(
            features.filter(pl.col("decision_time") < cutoff),
            symbol=SYMBOL,
            cross_symbols=CROSS,
            min_coverage=settings.training.min_feature_coverage,
        )
        data = make_training_set(features, labels, feature_names=names, horizons_hours=horizons)
        vintage = train_vintage(
            data, Boosting(), cutoff=cutoff, settings=settings.training, quantiles=QuantileParameters()
        )
        times = data.decision_time
        first, last = (np.datetime64(instant.replace(tzinfo=None), "us") for instant in (cutoff, end))
        scored = score_vintage(vintage, data, rows=np.flatnonzero((times >= first) & (times < last)))
        thresholds = {
            "long_threshold": {m.horizon_hours: m.long_threshold for m in vintage.models},
            "short_threshold": {m.horizon_hours: m.short_threshold for m in vintage.models},
        }
        rows = scored.with_columns(
            *(
                pl.col("horizon_hours").replace_strict(v, return_dtype=pl.Float64).alias(n)
                for n, v in thresholds.items()
            ),
            symbol=pl.lit(SYMBOL),
            algorithm=pl.lit("lightgbm"),
            available_at=pl.col("decision_time"),
            cutoff=pl.lit(cutoff).cast(HISTORICAL_FORECASTS.schema["cutoff"]),
            provenance=pl.lit("replay"),
        )
        lake.upsert(HISTORICAL_FORECASTS, rows.select(list(HISTORICAL_FORECASTS.schema)))
    print_figure("a vintage trained, its months forecast", (time.perf_counter() - started) / vintages, "s")


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    main(Path(sys.argv[1]), int(given.get("year", "2024")), int(given.get("vintages", "12")))
