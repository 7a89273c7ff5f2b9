# a program for people: it prints, and starts itself beside itself
"""How fast the networks train on this machine's GPU, and how far from its limits. An engineer runs it on the node.

    python h800/gpu_bench.py [hours=43000] [epochs=2] [models=lstm,tft] [device=auto] [side_by_side=1,2,4] [copies=10]

Per model: seconds of one training, windows per second, the type that steps compute in, the share of the device's copy
bandwidth that the gathered windows need (small: launches bound these small networks, not memory), device memory. Then
the same training as several processes beside each other on one GPU, and trainings per hour: as many are worth their
memory as the last column still grows. Without a GPU everything runs with tiny sizes and says `cpu`: that shows that
the code works, and nothing else.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.networks.lstm import Lstm
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft
from eth_pipeline.models.networks.training import chosen_device

SEED, FEATURES, HORIZONS = 7, 160, (5, 12, 24)
CALENDAR = ("hour", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "hours_to_funding")
TINY_HOURS = 600


@dataclass(frozen=True)
class Size:
    """What is trained: hours of history, passes over them, on which device (`cpu` or `cuda`)."""

    hours: int
    epochs: int
    device: str


def random_history(hours: int) -> TrainingSet:
    """Hours of noise: skill is 0.5 by design, time is not."""
    random = np.random.default_rng(SEED)
    decision_time = np.datetime64("2021-01-01", "us") + np.arange(hours) * np.timedelta64(1, "h")
    targets = {}
    for horizon in HORIZONS:
        forward = random.standard_normal(hours) * 0.01
        ends = decision_time + np.timedelta64(horizon, "h")
        targets[horizon] = HorizonTarget((forward > 0).astype(np.float32), forward, forward, ends)
    names = (*CALENDAR, *(f"feature_{number}" for number in range(FEATURES - len(CALENDAR))))
    matrix = random.standard_normal((hours, FEATURES), dtype=np.float32)
    return TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, targets)


def forecaster(name: str, size: Size) -> Lstm | Tft:
    """The model with its default parameters on the device asked for."""
    schedule = replace(TrainingSchedule(), device="cuda" if size.device == "cuda" else "cpu")
    return {"lstm": Lstm(LstmParameters(schedule=schedule)), "tft": Tft(TftParameters(schedule=schedule))}[name]


def training_seconds(name: str, data: TrainingSet, size: Size) -> float:
    """Seconds of one training, after a short one that loads and chooses kernels."""
    model = forecaster(name, size)
    rows = {horizon: np.arange(len(data.decision_time)) for horizon in HORIZONS}
    model.refit(data, {h: used[:512] for h, used in rows.items()}, effort={HORIZONS[0]: 1}, seed=SEED)
    if size.device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    model.refit(data, rows, effort={HORIZONS[0]: size.epochs}, seed=SEED)
    if size.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def copy_bytes_per_second(device: str, *, copies: int) -> float:
    """Bytes read and written per second by plain copies on the device."""
    block = torch.zeros(2**28 if device == "cuda" else 2**22, device=device)
    other = torch.empty_like(block)
    other.copy_(block)
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(copies):
        other.copy_(block)
    if device == "cuda":
        torch.cuda.synchronize()
    return copies * 2 * block.numel() * block.element_size() / (time.perf_counter() - started)


def one_model(name: str, data: TrainingSet, size: Size, *, bandwidth: float) -> None:
    """One line about one training alone on the device."""
    seconds = training_seconds(name, data, size)
    parameters = forecaster(name, size).parameters
    windows = size.epochs * size.hours
    width = parameters.features + len(CALENDAR)
    gathered = 2 * windows * parameters.window_hours * width * 4  # each value read once and written once, float32
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device" if size.device == "cuda" else "cpu"
    dtype = "bfloat16 autocast" if size.device == "cuda" else "float32"
    print(
        f"{name}: {size.hours} hours, {size.epochs} epochs: {seconds:.2f} s, {windows / seconds:,.0f} windows/s, "
        f"{dtype}, windows {gathered / seconds / bandwidth:.2%} of copy bandwidth, {memory}",
        flush=True,
    )


def side_by_side(name: str, size: Size, *, count: int) -> None:
    """One line about `count` processes on one device; each trains once when all are ready."""
    command = [sys.executable, __file__, f"child={name}", f"hours={size.hours}", f"epochs={size.epochs}"]
    command.append(f"device={size.device}")
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    for child in children:
        if child.stdout is None or child.stdout.readline() != "ready\n":
            sys.exit(f"a {name} beside {count - 1} others did not start; its error stands above")
    started = time.perf_counter()
    for child in children:
        child.communicate("go\n")
    seconds = time.perf_counter() - started
    if any(child.returncode for child in children):
        sys.exit(f"{count} {name} beside each other: one failed, its error stands above")
    print(
        f"{name} x {count}: {seconds:.2f} s, {3600 * count / seconds:,.0f} trainings/h, {size.device}, "
        f"{os.cpu_count()} cores",
        flush=True,
    )


def child(name: str, size: Size) -> None:
    """One of several: prepare, say so, wait for the word, train."""
    data, model = random_history(size.hours), forecaster(name, size)
    rows = {horizon: np.arange(size.hours) for horizon in HORIZONS}
    model.refit(data, {h: used[:512] for h, used in rows.items()}, effort={HORIZONS[0]: 1}, seed=SEED)
    print("ready", flush=True)
    sys.stdin.readline()
    model.refit(data, rows, effort={HORIZONS[0]: size.epochs}, seed=SEED)


def main(arguments: list[str]) -> None:
    """Read `name=value` arguments and print one line per measurement."""
    given = dict(argument.split("=", 1) for argument in arguments)
    device = chosen_device(replace(TrainingSchedule(), device=given.get("device", "auto"))).type
    cuda = device == "cuda"
    size = Size(
        hours=int(given.get("hours", 43_000 if cuda else TINY_HOURS)),
        epochs=int(given.get("epochs", 2 if cuda else 1)),
        device=device,
    )
    if "child" in given:
        child(given["child"], size)
        return
    bandwidth = copy_bytes_per_second(device, copies=int(given.get("copies", 10)))
    where = torch.cuda.get_device_name() if cuda else "cpu"
    print(f"{where}: copies {bandwidth / 1e9:,.0f} GB/s, torch {torch.__version__}")
    data = random_history(size.hours)
    for name in given.get("models", "lstm,tft").split(","):
        one_model(name, data, size, bandwidth=bandwidth)
        for count in given.get("side_by_side", "1,2,4" if cuda else "2").split(","):
            side_by_side(name, size, count=int(count))


if __name__ == "__main__":
    main(sys.argv[1:])
