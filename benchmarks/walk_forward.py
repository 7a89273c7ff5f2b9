"""How fast the walk-forward refits, and what it costs in memory; on random numbers, so skill is 0.5 by design.

    python benchmarks/walk_forward.py [refits|history|training] [refits=357] [threads=2] [max_bins=63]

`refits`: 357 refits on 2,400 rolling rows, four horizons, 80 features, the shape of the reviewed system.
`history`: quarterly refits on an expanding history of 43,000 hours, three horizons, 160 features.
`training`: the whole of `train_candidate` on the second shape: walk-forward, production models, parity, report.
Fewer than 357 refits of the first shape tell its CPU seconds per refit on a machine that others use; `threads` and
`max_bins` are fields of BoostingParameters, the defaults being those of production.
Prints one line each: seconds, refits per second, models per second, peak memory. CPU seconds are those of all threads
together: on two idle cores the wall clock comes near to half of them, on a busy machine only they can be compared.
"""

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.figure import at_most, print_figure
from eth_pipeline.models.candidate import train_candidate
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.trees.boosting import Boosting, BoostingParameters
from eth_pipeline.models.walk_forward import walk_forward, windows_by_index
from eth_pipeline.settings import TrainingSettings

SEED = 7
REFITS_ASKED = 357


def random_history(rows: int, *, features: int, horizons_hours: tuple[int, ...]) -> TrainingSet:
    """Hourly rows of a random walk with features that know nothing; 5 % of the values are missing."""
    random = np.random.default_rng(SEED)
    hour = np.timedelta64(1, "h")
    decision_time = np.datetime64("2021-01-01", "us") + np.arange(rows) * hour
    matrix = random.standard_normal((rows, features), dtype=np.float32)
    matrix[random.random((rows, features), dtype=np.float32) < 0.05] = np.nan
    path = np.concatenate([[0.0], np.cumsum(random.normal(0, 0.007, rows + max(horizons_hours)))])
    targets = {}
    for horizon in horizons_hours:
        forward = path[horizon : horizon + rows] - path[:rows]
        label_end = decision_time + horizon * hour
        targets[horizon] = HorizonTarget((forward > 0).astype(np.float32), forward, np.roll(forward, -1), label_end)
    names = ("realised_vol_24h", *(f"noise_{number}" for number in range(1, features)))
    return TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, targets)


def measure(name: str, data: TrainingSet, settings: TrainingSettings, parameters: BoostingParameters) -> None:
    windows = len(windows_by_index(data, settings))
    started, busy = time.perf_counter(), time.process_time()
    walk = walk_forward(data, Boosting(parameters), settings=settings, volatility_feature="realised_vol_24h")
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - busy
    rounds = np.mean([effort for of_horizon in walk.effort.values() for effort in of_horizon])
    fits = 2 * windows * len(data.horizons_hours)
    print(
        f"{name}: {windows} refits x {len(data.horizons_hours)} horizons, {data.features.shape[1]} features, "
        f"{parameters.threads} threads, {parameters.max_bins} bins: {seconds:.1f} s ({cpu_seconds:.1f} CPU seconds, "
        f"{cpu_seconds / windows:.3f} a refit), "
        f"{windows / seconds:.2f} refits/s, {fits / seconds:.1f} boosters/s "
        f"(two per horizon: with early stopping, then on all rows; mean {rounds:.0f} rounds), peak {peak_mib():.0f} MiB"
    )
    asked = at_most(60) if windows == REFITS_ASKED else None
    print_figure(f"{name}, {windows} refits x {len(data.horizons_hours)} horizons", seconds, "s", asked)
    print_figure(f"{name}, CPU time of a refit", cpu_seconds / windows, "s")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rolling_refits(parameters: BoostingParameters, *, refits: int) -> None:
    train_rows, every = 2_400, 24
    settings = TrainingSettings(
        horizons_hours=(3, 5, 12, 24), refit_every_hours=every, min_train_hours=train_rows, max_train_hours=train_rows
    )
    rows = train_rows + refits * every
    data = random_history(rows, features=80, horizons_hours=settings.horizons_hours)
    measure("rolling refits", data, settings, parameters)


def expanding_history(parameters: BoostingParameters) -> None:
    settings = TrainingSettings()
    data = random_history(43_000, features=160, horizons_hours=settings.horizons_hours)
    measure("quarterly expanding", data, settings, parameters)


def full_training(parameters: BoostingParameters) -> None:
    settings = TrainingSettings()
    data = random_history(43_000, features=160, horizons_hours=settings.horizons_hours)
    started, busy = time.perf_counter(), time.process_time()
    report = train_candidate(data, Boosting(parameters), settings=settings, tries=1).report
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - busy
    print(
        f"full training: {report.folds} refits, {report.oof_rows} scored hours x {len(report.horizons)} horizons: "
        f"{seconds:.1f} s ({cpu_seconds:.1f} CPU seconds), peak {peak_mib():.0f} MiB"
    )
    print_figure(f"full training, {report.folds} refits", seconds, "s")
    print_figure("full training, memory", peak_mib(), "MiB", at_most(4_096))


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    chosen = [argument for argument in sys.argv[1:] if "=" not in argument] or ["refits", "history"]
    boosting = BoostingParameters(threads=int(given.get("threads", "2")), max_bins=int(given.get("max_bins", "63")))
    if "refits" in chosen:
        rolling_refits(boosting, refits=int(given.get("refits", REFITS_ASKED)))
    if "history" in chosen:
        expanding_history(boosting)
    if "training" in chosen:
        full_training(boosting)
