"""Direction forecasts on recorded history: the out-of-fold table beside its baselines.

    python benchmarks/real_history.py FOLDER [model=lightgbm] [horizons=5,12,24] [seed=20260101] [tries=5]
        [coverage=0.8] [refit_days=91] [champion=FILE] [save=FILE] [parameter=value ...]
    python benchmarks/real_history.py FOLDER stack=NAME:FILE,NAME:FILE [primary first]

FOLDER holds recordings as the replay reads them; `model` is an algorithm of `models.algorithms`; `parameter` is any
field of BoostingParameters (lightgbm only); `tries` counts the configurations tried on this history, this one
included; `coverage` is the share of hours from which on a feature is an input; `save` writes the out-of-fold
forecasts as parquet, which a later run takes as `champion`, the third baseline, or as a member of a stack. Hours
2021-03-01 to 2025-06-30 UTC, refitted every `refit_days` on everything before, labels on the mark price, purged by
label interval plus a 24 h embargo. Every figure is out of fold, but the first line of each table says what validation
claimed.
"""

import sys
import time
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl

from benchmarks.figure import compared, print_figure
from eth_pipeline.contracts.table import INSTANT, TableContract
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES, OPEN_INTEREST, SPOT_KLINES
from eth_pipeline.features.build import build_features
from eth_pipeline.features.catalogue import available_feature_names, feature_specs
from eth_pipeline.features.panel import prefix
from eth_pipeline.features.sources import FeatureSources
from eth_pipeline.labels.direction import build_labels
from eth_pipeline.models.algorithms import LIGHTGBM, forecaster_named
from eth_pipeline.models.baselines import find_volatility_feature
from eth_pipeline.models.dataset import TrainingSet, make_training_set
from eth_pipeline.models.figures.comparison import compare_members
from eth_pipeline.models.figures.evaluation import primary_horizon_hours, verdict, volatility_level
from eth_pipeline.models.figures.horizon_figures import Rivals, horizon_report
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.figures.permutation import permutation_importance
from eth_pipeline.models.figures.report import Decile, Estimate, HorizonReport, PermutationReport
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.stacking import fit_stack
from eth_pipeline.models.trees.boosting import Boosting, BoostingParameters
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


def training_set(folder: Path, horizons_hours: tuple[int, ...], *, coverage: float = 0.0) -> TrainingSet:
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
    names = available_feature_names(features, symbol=SYMBOL, cross_symbols=CROSS, min_coverage=coverage)
    return make_training_set(features, labels, feature_names=names, horizons_hours=horizons_hours)


def shown(estimate: Estimate | None, digits: int = 4, sign: str = "") -> str:
    if estimate is None or estimate.value is None:
        return "unknown"
    interval = "" if estimate.low is None else f" [{estimate.low:{sign}.{digits}f}, {estimate.high:{sign}.{digits}f}]"
    return f"{estimate.value:{sign}.{digits}f}{interval}"


def figures(report: HorizonReport) -> str:
    cost, pnl, champion = report.cost_label, report.pnl, report.champion
    volatility, over_volatility = shown(cost.auc_volatility), shown(cost.auc_minus_volatility, sign="+")
    rival = "no champion given"
    if champion is not None:
        rival = f"{shown(champion.auc_champion)}   difference {shown(champion.auc_minus_champion, sign='+')}"
    lines = {
        "AUC of sign": shown(report.auc),
        "- constant": "0.5 by definition",
        "- volatility alone": f"{shown(report.auc_volatility)}   "
        f"difference {shown(report.auc_minus_volatility, sign='+')}",
        "- last champion": rival,
        "moves > 0.30 %": shown(report.auc_large_moves),
        "one hour late": shown(report.auc_one_hour_late),
        "by year": ", ".join(f"{year} {shown(each.auc, 3)}" for year, each in report.by_year.items()),
        f"cost label, {cost.cost_bps:g} bps": f"{shown(cost.auc)} among the {cost.paying_share:.1%} that exceed it",
        "- volatility alone ": f"{volatility}   difference {over_volatility}",
        "- by year": ", ".join(f"{year} {shown(each.auc_cost_label, 3)}" for year, each in report.by_year.items()),
        "- long pays, vs rest": f"{shown(cost.auc_long_pays)}   volatility {shown(cost.auc_long_pays_volatility)}",
        "- short pays, vs rest": f"{shown(cost.auc_short_pays)}   volatility {shown(cost.auc_short_pays_volatility)}",
        "log loss": f"{report.log_loss:.5f}   constant {report.log_loss_constant:.5f}   "
        f"difference {shown(report.log_loss_minus_constant, 5, '+')}",
        "calibration": f"error {report.calibration_error:.4f}   bias {shown(report.calibration_bias, sign='+')}",
        "decile spread, bps": shown(report.decile_spread_bps, 1),
        "net bps per trade": f"{shown(report.net_bps_per_trade, 1)} ({report.trades} trades)",
        "net Sharpe, annual": f"{shown(pnl.sharpe, 2)}   {shown(pnl.annual_return_bps, 0)} bps a year   "
        f"turnover {pnl.turnover_per_day:.2f} a day",
        "deflated Sharpe": f"{known(pnl.deflated_sharpe)}   overfitting {known(pnl.overfitting_probability)} "
        f"({pnl.tries_compared} series compared)",
    }
    deciles = "\n".join(decile_line(number, each) for number, each in enumerate(report.deciles, start=1))
    return "\n".join(f"  {name:22s}{value}" for name, value in lines.items()) + "\n" + deciles


def known(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def decile_line(number: int, decile: Decile) -> str:
    return (
        f"    decile {number:2d}  {decile.rows:5d} hours  forecast {known(decile.probability)}  "
        f"up {shown(decile.up_share, 3)}  return {shown(decile.mean_return_bps, 1, '+')} bps"
    )


def permuted(report: PermutationReport) -> str:
    head = (
        f"\nAUC lost at {report.horizon_hours} h on the newest {report.windows} windows ({report.rows} hours) when "
        f"other weeks lend the features; with all in place {shown(report.auc)}"
    )
    lines = [f"  {each.kind:8s}{each.name:32s}{shown(each.drop, sign='+')}" for each in report.drops]
    return "\n".join([head, *lines])


def main(folder: Path, given: dict[str, str]) -> None:
    horizons = tuple(int(h) for h in given.pop("horizons", "5,12,24").split(","))
    seed, tries = int(given.pop("seed", "20260101")), int(given.pop("tries", "5"))
    coverage = float(given.pop("coverage", str(TrainingSettings().min_feature_coverage)))
    champion, save, members = given.pop("champion", None), given.pop("save", None), given.pop("stack", None)
    name, refit_days = given.pop("model", LIGHTGBM), int(given.pop("refit_days", "91"))
    data = training_set(folder, horizons, coverage=coverage)
    first = (np.datetime64(FIRST_SCORED.replace(tzinfo=None)) - data.decision_time[0]) // np.timedelta64(1, "h")
    settings = TrainingSettings(
        horizons_hours=horizons, min_train_hours=int(first), seed=seed, refit_every_hours=24 * refit_days
    )
    volatility = volatility_level(data, find_volatility_feature(data.feature_names))
    rivals = Rivals(volatility=volatility, champion=pl.read_parquet(champion) if champion else None, tries=tries)
    print(f"{len(data.feature_names)} features, present in {coverage:.0%} of the hours at least")
    if members is not None:
        stacked(members, settings, rivals)
    else:
        walked(data, forecaster(name, given), settings, rivals, save=save)


def forecaster(name: str, given: dict[str, str]) -> Forecaster:
    if name != LIGHTGBM:
        return forecaster_named(name, cross_prefixes=tuple(map(prefix, CROSS)))
    kinds = {field.name: field.type for field in fields(BoostingParameters)}
    chosen = {field: (float if kinds[field] is float else int)(value) for field, value in given.items()}
    return Boosting(replace(BoostingParameters(), **chosen))


def walked(
    data: TrainingSet, algorithm: Forecaster, settings: TrainingSettings, rivals: Rivals, *, save: str | None
) -> None:
    started, busy = time.perf_counter(), time.process_time()
    keep = 4 if algorithm.algorithm == LIGHTGBM else 0
    volatility = find_volatility_feature(data.feature_names)
    walk = walk_forward(data, algorithm, settings=settings, volatility_feature=volatility, keep=keep)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - busy
    if save is not None:
        walk.oof.write_parquet(save)
    print(f"{algorithm}\n{walk.folds} refits, {seconds:.0f} s ({cpu_seconds:.0f} CPU seconds)")
    for h in settings.horizons_hours:
        claimed, effort = np.nanmean(walk.validation_auc[h]), np.median(walk.effort[h])
        table(walk.oof, h, settings, rivals, f"validation claimed {claimed:.4f}, median rounds {effort:.0f}")
    families = {spec.name: spec.family for spec in feature_specs(symbol=SYMBOL, cross_symbols=CROSS)}
    primary = primary_horizon_hours(settings.horizons_hours)
    importance = permutation_importance(data, walk.kept, horizon_hours=primary, families=families, settings=settings)
    if importance is not None:
        print(permuted(importance))
    print_figure(f"{walk.folds} refits of {len(settings.horizons_hours)} horizons", seconds, "s")


def stacked(members: str, settings: TrainingSettings, rivals: Rivals) -> None:
    """The stack over saved members, beside the first of them."""
    oofs = {name: pl.read_parquet(path) for name, path in (member.split(":", 1) for member in members.split(","))}
    stack = fit_stack(oofs, settings=settings)
    primary, others = next(iter(oofs.values())), dict(list(oofs.items())[1:])
    for figure in compare_members(primary, {**others, "stack": stack.oof}, settings=settings):
        print(
            f"{figure.horizon_hours:3d} h {figure.algorithm:12s} AUC {shown(figure.auc)}   "
            f"minus {next(iter(oofs))} {shown(figure.auc_minus_primary, sign='+')}   "
            f"log loss {figure.log_loss:.5f} against {figure.log_loss_primary:.5f}, {figure.rows} hours"
        )
    for weights in stack.weights:
        listed = ", ".join(f"{n} {c:.2f}" for n, c in zip(weights.algorithms, weights.coefficients, strict=True))
        table(stack.oof, weights.horizon_hours, settings, rivals, f"weights {listed}")


def table(oof: pl.DataFrame, h: int, settings: TrainingSettings, rivals: Rivals, note: str) -> None:
    report = horizon_report(oof, horizon_hours=h, settings=settings, rivals=rivals)
    raw = oof.filter(pl.col("horizon_hours") == h)
    raw_auc = auc(raw["raw_probability"].to_numpy(), raw["up"].to_numpy())
    print(
        f"\n{h} h, {report.rows} hours ({note}, uncalibrated {raw_auc:.4f})\n{figures(report)}\n"
        f"  {verdict(report, round_trip_cost_bps=settings.round_trip_cost_bps)}",
        flush=True,
    )
    if report.auc.value is not None and report.auc_volatility.value is not None:
        rival = compared(report.auc_volatility.value, "volatility alone")
        print_figure(f"AUC of sign at {h} h, {report.rows:,} hours", report.auc.value, "", rival)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
