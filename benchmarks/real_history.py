"""Direction forecasts on recorded history: the out-of-fold table beside its baselines.

    python benchmarks/real_history.py FOLDER [horizons=5,12,24] [seed=20260101] [parameter=value ...]

FOLDER holds recordings as the replay reads them; `parameter` is any field of BoostingParameters. Hours 2021-03-01
to 2025-06-30 UTC, refitted every 91 days on everything before, labels on the mark price, purged by label interval
plus a 24 h embargo. Every figure is out of fold, but the first line of each table says what validation claimed.
"""

import resource
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    INSTANT,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    SPOT_KLINES,
    TableContract,
)
from eth_pipeline.features.build import build_features, feature_names
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.models.baselines import find_volatility_feature
from eth_pipeline.models.boosting import Boosting, BoostingParameters
from eth_pipeline.models.dataset import TrainingSet, make_training_set
from eth_pipeline.models.evaluation import horizon_report, verdict
from eth_pipeline.models.metrics import auc
from eth_pipeline.models.report import Estimate
from eth_pipeline.models.walk_forward import walk_forward
from eth_pipeline.sandbox.replay import ReplayMarket
from eth_pipeline.settings import TrainingSettings

SYMBOL, CROSS = "ETHUSDT", ("BTCUSDT", "SOLUSDT", "BNBUSDT")
FIRST_SCORED = datetime(2021, 3, 1, tzinfo=UTC)
LAST_SCORED = datetime(2025, 6, 30, 23, tzinfo=UTC)
HOUR_MS = 3_600_000


def recorded_sources(folder: Path) -> FeatureSources:
    """The recordings in the shape of the lake's tables."""
    market, symbols = ReplayMarket(folder), (SYMBOL, *CROSS)

    def bars(stream: str, table: TableContract) -> pl.DataFrame:
        frames = [market.bars(stream, s, until=LAST_SCORED).with_columns(symbol=pl.lit(s)) for s in symbols]
        times = {"open_time": pl.col("open_time"), "close_time": pl.col("open_time") + HOUR_MS}
        rows = pl.concat(frames).with_columns(**times, available_at=times["close_time"], interval=pl.lit("1h"))
        return conformed(rows, table)

    funding = pl.concat([market.funding(s, until=LAST_SCORED).with_columns(symbol=pl.lit(s)) for s in symbols])
    interest = market.open_interest(SYMBOL, until=LAST_SCORED).with_columns(symbol=pl.lit(SYMBOL))
    return FeatureSources(
        klines=bars("klines", KLINES),
        mark_klines=bars("mark_klines", MARK_KLINES),
        spot_klines=bars("spot_klines", SPOT_KLINES),
        funding_rates=conformed(funding.with_columns(available_at=pl.col("funding_time")), FUNDING_RATES),
        open_interest=conformed(interest.with_columns(available_at=pl.col("period_end")), OPEN_INTEREST),
    )


def conformed(rows: pl.DataFrame, table: TableContract) -> pl.DataFrame:
    rows = rows.with_columns(source=pl.lit("archive"), provenance=pl.lit("replay"))
    columns = []
    for name, dtype in table.schema.items():
        column = pl.col(name) if name in rows.columns else pl.lit(None)
        columns.append((pl.from_epoch(column, "ms") if dtype == INSTANT else column).alias(name))
    rows = rows.select(columns)
    instants = [name for name, dtype in table.schema.items() if dtype == INSTANT]
    rows = rows.with_columns(pl.col(instants).dt.replace_time_zone("UTC")).cast(pl.Schema(table.schema))
    return rows.filter(pl.col(table.key[-1]) <= LAST_SCORED).unique(list(table.key)).sort(list(table.key))


def training_set(folder: Path, horizons_hours: tuple[int, ...]) -> TrainingSet:
    sources = recorded_sources(folder)
    features = build_features(sources, symbol=SYMBOL, cross_symbols=CROSS, base_interval="1h")
    labels = build_labels(
        mark_klines=sources.mark_klines,
        klines=sources.klines,
        symbol=SYMBOL,
        base_interval="1h",
        horizons_hours=horizons_hours,
        round_trip_cost_bps=TrainingSettings().round_trip_cost_bps,
    )
    names = feature_names(symbol=SYMBOL, cross_symbols=CROSS)
    return make_training_set(features, labels, feature_names=names, horizons_hours=horizons_hours)


def shown(estimate: Estimate, digits: int = 4) -> str:
    if estimate.value is None:
        return "unknown"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def main(folder: Path, given: dict[str, str]) -> None:
    horizons = tuple(int(h) for h in given.pop("horizons", "5,12,24").split(","))
    seed = int(given.pop("seed", "20260101"))
    kinds = {field.name: field.type for field in fields(BoostingParameters)}
    parameters = replace(
        BoostingParameters(), **{name: (float if kinds[name] is float else int)(value) for name, value in given.items()}
    )
    data = training_set(folder, horizons)
    first = (np.datetime64(FIRST_SCORED.replace(tzinfo=None)) - data.decision_time[0]) // np.timedelta64(1, "h")
    settings = TrainingSettings(horizons_hours=horizons, min_train_hours=int(first), seed=seed)
    started = time.perf_counter()
    walk = walk_forward(
        data,
        Boosting(parameters),
        settings=settings,
        volatility_feature=find_volatility_feature(data.feature_names),
    )
    seconds = time.perf_counter() - started
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{parameters}\n{len(data.feature_names)} features, {walk.folds} refits, {seconds:.0f} s, {peak_gib:.1f} GiB")
    for h in horizons:
        report = horizon_report(walk.oof, horizon_hours=h, settings=settings)
        raw = walk.oof.filter(pl.col("horizon_hours") == h)
        raw_auc = auc(raw["raw_probability"].to_numpy(), raw["up"].to_numpy())
        print(
            f"\n{h} h, {report.rows} hours (validation claimed {np.nanmean(walk.validation_auc[h]):.4f}, "
            f"median rounds {np.median(walk.effort[h]):.0f})\n"
            f"  AUC of sign        {shown(report.auc)}   uncalibrated {raw_auc:.4f}\n"
            f"  volatility alone   {shown(report.auc_volatility)}   difference {shown(report.auc_minus_volatility)}\n"
            f"  moves > 0.30 %     {shown(report.auc_large_moves)}   one hour late {shown(report.auc_one_hour_late)}\n"
            f"  by year            { ({year: round(value, 4) for year, value in report.auc_by_year.items()}) }\n"
            f"  log loss           {report.log_loss:.5f}   constant {report.log_loss_constant:.5f}   "
            f"calibration error {report.calibration_error:.4f}\n"
            f"  decile spread bps  {shown(report.decile_spread_bps, 1)}   "
            f"net bps per trade {shown(report.net_bps_per_trade, 1)} ({report.trades} trades)\n"
            f"  {verdict(report, round_trip_cost_bps=settings.round_trip_cost_bps)}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
