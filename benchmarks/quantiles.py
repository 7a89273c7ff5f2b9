"""Quantiles, states of the market and drift on recorded history: out-of-fold tables beside their baselines.

    python benchmarks/quantiles.py FOLDER [horizons=5,12,24] [refit_every_days=91] [parameter=value ...]

FOLDER holds recordings as the replay reads them; `parameter` is any field of QuantileParameters but `levels`. Hours
2021-03-01 to 2025-06-30 UTC, refitted on everything before, returns on the mark price, purged by label interval plus a
24 h embargo; intervals are 95 %, from whole weeks resampled. The states are judged with the default inputs and, as the
figures of a rejected idea, with trend efficiency and volume ratio added. Drift compares every week of the newest fifth
with the rows before it, by our limits and by the p-value that takes hours for independent.
"""

import resource
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.figure import compared, print_figure
from benchmarks.real_history import FIRST_SCORED, shown, training_set
from eth_pipeline.models.cloud import cloud_distances, distance_to_cloud, make_cloud
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.drift import WINDOW_ROWS, make_drift_reference, measure_drift
from eth_pipeline.models.sizing.mixture import VOLATILITIES, RegimeInput
from eth_pipeline.models.sizing.quantile import train_quantiles
from eth_pipeline.models.sizing.regime import train_regime
from eth_pipeline.models.trees.quantile_forest import QuantileParameters
from eth_pipeline.settings import TrainingSettings

MORE_INPUTS = (*VOLATILITIES, RegimeInput("efficiency_72h", log=False), RegimeInput("volume_ratio_24_168h", log=False))
LONGEST_FEATURE_HOURS = 720


def print_quantiles(data: TrainingSet, settings: TrainingSettings, parameters: QuantileParameters) -> None:
    started = time.perf_counter()
    trained = train_quantiles(data, settings=settings, parameters=parameters)
    seconds = time.perf_counter() - started
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    parity = trained.report.parity
    print(f"{parameters}\n{len(data.feature_names)} features, {seconds:.0f} s, {peak_gib:.1f} GiB")
    print(
        f"ONNX: {parity.rows} probe rows ({parity.rows_at_thresholds} at thresholds), largest difference "
        f"{parity.max_abs_difference:.1e} log return, one row of all horizons {parity.p50_milliseconds:.2f} ms"
    )
    for report, model in zip(trained.report.horizons, trained.models, strict=True):
        print(f"\n{report.horizon_hours} h, {report.rows} hours, {report.folds} refits. {report.verdict}")
        print(
            f"  saved over unconditional {shown(report.skill_over_unconditional)}  crossed {report.crossed_share:.4f}"
        )
        print("  level  pinball bps  saved over unconditional       over volatility-scaled         share below")
        for level in report.levels:
            print(
                f"  {level.level:5.2f}  {level.pinball_bps:11.2f}  {shown(level.skill_over_unconditional):30s} "
                f"{shown(level.skill_over_volatility):30s} {shown(level.share_below, 3)}"
            )
        for interval in report.intervals:
            thirds = " / ".join(f"{share:.3f}" for share in interval.coverage_by_volatility)
            print(
                f"  {interval.nominal:.0%} interval covers {shown(interval.coverage, 3)}, without offsets "
                f"{interval.coverage_without_offsets:.3f}; calm / middle / wild {thirds}; "
                f"mean width {interval.mean_width_bps:.0f} bps"
            )
        print(f"  offsets bps {[round(offset * 1e4, 1) for offset in model.offsets]}")
        widest = max(report.intervals, key=lambda interval: interval.nominal)
        covered, nominal = widest.coverage.value, compared(widest.nominal, "its name")
        print_figure(f"{widest.nominal:.0%} interval at {report.horizon_hours} h covers", covered, "", nominal)
    refits = sum(report.folds for report in trained.report.horizons)
    print_figure("a refit of all levels, report included", seconds / refits, "s")


def print_regime(data: TrainingSet, settings: TrainingSettings, inputs: tuple[RegimeInput, ...]) -> None:
    started = time.perf_counter()
    report = train_regime(data, settings=settings, inputs=inputs).report
    print(f"\nStates from {', '.join(item.feature for item in inputs)}: {report.rows} hours, {report.folds} refits, "
          f"{time.perf_counter() - started:.0f} s, ONNX differs by {report.parity.max_abs_difference:.1e}")  # fmt: skip
    for state in report.states:
        print(
            f"  {state.state:9s} {state.share:.3f} of the hours, stays {state.mean_dwell_hours:.0f} h; next 24 h "
            f"volatility {shown(state.next_volatility, 5)}, |return| bps {shown(state.absolute_return_bps, 0)}"
        )
    print(
        f"  explained of next log volatility {shown(report.explained_share, 3)}, by thirds of volatility alone "
        f"{shown(report.explained_by_thirds, 3)}, difference {shown(report.explained_minus_thirds, 3)}"
    )


def print_drift(data: TrainingSet) -> None:
    split = int(len(data.features) * 0.8)
    past, newest = data.features[LONGEST_FEATURE_HOURS:split], data.features[split:]
    started = time.perf_counter()
    cloud = make_cloud(past)
    reference = make_drift_reference(past, names=data.feature_names, cloud=cloud)
    made = time.perf_counter() - started
    weeks = newest[: len(newest) // WINDOW_ROWS * WINDOW_ROWS].reshape(-1, WINDOW_ROWS, newest.shape[1])
    started = time.perf_counter()
    reports = [measure_drift(week, reference) for week in weeks]
    each = (time.perf_counter() - started) / len(weeks)
    started = time.perf_counter()
    for row in newest[:200]:
        distance_to_cloud(row, cloud)
    row_ms = (time.perf_counter() - started) / 200 * 1e3
    naive = [
        np.mean([ks_2samp(week[:, f][np.isfinite(week[:, f])], past[np.isfinite(past[:, f]), f]).pvalue < 0.01
                 for f in range(0, past.shape[1], 10) if np.isfinite(week[:, f]).any()])
        for week in weeks[::6]
    ]  # fmt: skip
    percentile = np.interp(cloud_distances(newest, cloud), cloud.percentiles, np.arange(101))
    shares = [report.drifted_share for report in reports]
    print(
        f"\nDrift: reference of {len(past)} rows in {made:.1f} s, {len(reference.model_dump_json()) / 1e3:.0f} kB; "
        f"one report {each * 1e3:.0f} ms, one row's distance {row_ms:.2f} ms\n"
        f"  {len(weeks)} later weeks: mean share of features beyond a limit {np.mean(shares):.3f} (alarm above "
        f"{reference.drifted_share_limit:.3f}), {np.mean([report.drifted for report in reports]):.3f} of weeks alarm; "
        f"naive p < 0.01 flags {np.mean(naive):.3f} of features\n"
        f"  later rows at or above training percentile 50 / 90 / 99 of distance: "
        f"{' / '.join(f'{(percentile >= p).mean():.3f}' for p in (50, 90, 99))}"
    )


def main(folder: Path, given: dict[str, str]) -> None:
    horizons = tuple(int(h) for h in given.pop("horizons", "5,12,24").split(","))
    days = int(given.pop("refit_every_days", "91"))
    kinds = {field.name: field.type for field in fields(QuantileParameters)}
    parameters = replace(
        QuantileParameters(), **{name: (float if kinds[name] is float else int)(value) for name, value in given.items()}
    )
    data = training_set(folder, horizons)
    first = (np.datetime64(FIRST_SCORED.replace(tzinfo=None)) - data.decision_time[0]) // np.timedelta64(1, "h")
    settings = TrainingSettings(horizons_hours=horizons, min_train_hours=int(first), refit_every_hours=24 * days)
    print_regime(data, settings, VOLATILITIES)
    print_regime(data, settings, MORE_INPUTS)
    print_drift(data)
    print()
    sys.stdout.flush()
    print_quantiles(data, settings, parameters)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:]))
