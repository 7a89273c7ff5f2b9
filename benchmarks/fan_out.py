"""How a fan-out of trainings scales, what a task costs beside its work, and what a killed worker costs.

    python benchmarks/fan_out.py [tasks=40] [hours=6000] [features=80] [workers=CORES]

A task is one LightGBM vintage of three horizons on a random history that it makes itself, one thread. The same tasks
run one after the other on one worker, on all workers, and on all workers while one of them is killed. Prints the
speed-up, the overhead per task (an empty task, and start and stop of the workers), and peak memory of all processes
together. Ends with an error where a run gave other models than the first.
"""

import hashlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from benchmarks.figure import compared, print_figure
from eth_pipeline.cli.training.fan_out import Workers, fan_out

HORIZONS = (5, 12, 24)
SEED = 7


def train_one(number: int, *, hours: int, features: int) -> str:
    """sha256 of the exported models of one vintage."""
    from datetime import UTC, datetime, timedelta

    from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
    from eth_pipeline.models.trees.boosting import Boosting, BoostingParameters
    from eth_pipeline.models.vintages.vintage import train_vintage
    from eth_pipeline.settings import TrainingSettings

    random = np.random.default_rng(SEED + number)
    begin = datetime(2021, 1, 1, tzinfo=UTC)
    decision_time = np.datetime64(begin.replace(tzinfo=None), "us") + np.arange(hours) * np.timedelta64(1, "h")
    targets = {}
    for horizon in HORIZONS:
        forward = random.standard_normal(hours) * 0.01
        ends = decision_time + np.timedelta64(horizon, "h")
        targets[horizon] = HorizonTarget((forward > 0).astype(np.float32), forward, forward, ends)
    matrix = random.standard_normal((hours, features), dtype=np.float32)
    names = tuple(f"noise_{place}" for place in range(features))
    data = TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, targets)
    vintage = train_vintage(
        data,
        Boosting(BoostingParameters(threads=1)),
        cutoff=begin + timedelta(hours=hours),
        settings=TrainingSettings(min_train_hours=hours // 2),
    )
    return hashlib.sha256(b"".join(model.onnx for model in vintage.models)).hexdigest()


def nothing(number: int) -> int:
    return number


def family_bytes() -> int:
    """Memory of this process and its children, shared pages counted once (PSS)."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


class Peak:
    """The most memory that all processes held together during a `with` block, looked at twice a second."""

    def __enter__(self) -> "Peak":
        self.bytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.bytes = max(self.bytes, family_bytes())


def timed(function: object, tasks: int, workers: int, *, kill: bool = False) -> tuple[float, float, dict[int, str]]:
    """Seconds of everything, seconds from the first result to the last, and the results."""
    began, first, results = time.perf_counter(), 0.0, {}
    for finished in fan_out(function, range(tasks), workers=Workers(count=workers)):  # type: ignore[arg-type]
        if finished.error is not None:
            sys.exit(f"task {finished.task} failed: {finished.error}")
        first = first or time.perf_counter()
        results[finished.task] = finished.result
        if kill and len(results) == tasks // 4:
            victim = next(p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline()))
            os.kill(victim.pid, signal.SIGKILL)
            print(f"  killed worker {victim.pid} after {len(results)} tasks")
    return time.perf_counter() - began, time.perf_counter() - first, results


def main(arguments: list[str]) -> None:
    given = {name: int(value) for name, value in (argument.split("=", 1) for argument in arguments)}
    tasks, workers = given.get("tasks", 40), given.get("workers", os.cpu_count() or 1)
    work = partial(train_one, hours=given.get("hours", 6_000), features=given.get("features", 80))
    whole, between, _ = timed(nothing, 200, workers)
    each = 1e3 * between / 199
    print(f"engine: {workers} workers, start and stop {whole - between:.1f} s, {each:.1f} ms per empty task")
    with Peak() as alone:
        single, _, expected = timed(work, tasks, 1)
    print(f"1 worker: {tasks} trainings in {single:.1f} s, peak {alone.bytes / 2**20:.0f} MiB")
    with Peak() as together:
        many, _, found = timed(work, tasks, workers)
    print(
        f"{workers} workers: {many:.1f} s, speed-up {single / many:.2f}, peak {together.bytes / 2**20:.0f} MiB, "
        f"load of this machine {os.getloadavg()[0]:.1f}"
    )
    robbed, _, after_kill = timed(work, tasks, workers, kill=True)
    print(f"{workers} workers, one killed: {robbed:.1f} s")
    if not expected == found == after_kill:
        sys.exit("the models differ between runs")
    print("every run gave the same models, byte for byte")
    peak = together.bytes / 2**20
    print_figure("speed-up over one worker", single / many, "times", compared(workers, "workers"), peak_mib=peak)
    print_figure("an empty task", each, "ms", peak_mib=peak)
    print_figure("all tasks, one worker killed", robbed, "s", compared(many, "none killed"), peak_mib=peak)


if __name__ == "__main__":
    main(sys.argv[1:])
