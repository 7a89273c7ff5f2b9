"""How fast the sequence models train, and what it costs in memory; on random numbers, so skill is 0.5 by design.

    python benchmarks/networks.py [full | hours=4000] [epochs=1] [features=160] [models=lstm,tft] [parameter=value ...]

`full` is 43,000 hours. `parameter` is any field of TrainingSchedule, such as threads=2 or device=cpu. Per model:
seconds of one training (feature choice, layout and epochs together), windows per second, the forecast of one hour by
ONNX Runtime on one core, peak memory of the process and, on CUDA, of the device.

On CUDA it also says how far a step is from two limits: the time its kernels would take if only their launches cost, by
the measured cost of an empty launch, and the share of the step in which the device computes at all; and which share of
the measured copy bandwidth the gather of the windows needs.
"""

import resource
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnxruntime
import torch

from benchmarks.figure import at_most, print_figure
from eth_pipeline.models.dataset import HorizonTarget, TrainingSet
from eth_pipeline.models.networks.lstm import Lstm
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft
from eth_pipeline.models.networks.training import chosen_device
from eth_pipeline.models.networks.windows import raw_windows

SEED = 7
HORIZONS = (5, 12, 24)
CALENDAR = ("hour", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "hours_to_funding")


def random_history(hours: int, *, features: int) -> TrainingSet:
    random = np.random.default_rng(SEED)
    decision_time = np.datetime64("2021-01-01", "us") + np.arange(hours) * np.timedelta64(1, "h")
    matrix = random.standard_normal((hours, features), dtype=np.float32)
    names = (*CALENDAR, *(f"feature_{number}" for number in range(features - len(CALENDAR))))
    targets = {}
    for horizon in HORIZONS:
        forward = random.standard_normal(hours) * 0.01
        ends = decision_time + np.timedelta64(horizon, "h")
        targets[horizon] = HorizonTarget((forward > 0).astype(np.float32), forward, forward, ends)
    return TrainingSet("ETHUSDT", "simulated", decision_time, matrix, names, targets)


def measure(forecaster: Lstm | Tft, data: TrainingSet, *, epochs: int) -> None:
    device = chosen_device(forecaster.parameters.schedule)
    rows = {horizon: np.arange(len(data.decision_time)) for horizon in HORIZONS}
    if device.type == "cuda":  # kernels are loaded and chosen once per process
        forecaster.refit(data, {h: used[:2_000] for h, used in rows.items()}, effort={5: 1}, seed=SEED)
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    fitted = forecaster.refit(data, rows, effort={5: epochs}, seed=SEED)
    seconds = time.perf_counter() - started
    windows = epochs * len(data.decision_time)
    dtype = "bfloat16 autocast" if device.type == "cuda" else "float32"
    where = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"CPU, {forecaster.parameters.schedule.threads} thread(s)"
    )
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    weights = sum(weight.numel() for weight in fitted.bodies[0].parameters())
    print(
        f"{forecaster.algorithm}: {len(data.decision_time)} hours, window {fitted.window_hours} h, {weights} weights, "
        f"{epochs} epoch(s): {seconds:.1f} s, {windows / seconds:,.0f} windows/s, {where}, {dtype}, "
        f"peak {peak_gib:.2f} GiB"
    )
    export = fitted.to_onnx()[HORIZONS[0]]
    newest = raw_windows(data, rows[5][-1:], window_hours=fitted.window_hours)
    p50, p99 = one_hour_milliseconds(export.onnx, {export.input_name: newest})
    print(
        f"  one hour, all horizons, ONNX Runtime: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
        f"{len(export.onnx) / 2**10:.0f} KiB"
    )
    print_figure(f"{forecaster.algorithm} training", windows / seconds, "windows/s")
    print_figure(f"{forecaster.algorithm} forecast of one hour, p50", p50, "ms", at_most(3))
    print_figure(f"{forecaster.algorithm} forecast of one hour, p99", p99, "ms", at_most(8))
    if device.type == "cuda":
        print(f"  device peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
        distance_to_limits(forecaster, data)


def one_hour_milliseconds(onnx: bytes, feed: dict[str, np.ndarray]) -> tuple[float, float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    taken = []
    for _ in range(500):
        started = time.perf_counter()
        session.run(None, feed)
        taken.append(1e3 * (time.perf_counter() - started))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def distance_to_limits(forecaster: Lstm | Tft, data: TrainingSet) -> None:
    steps = 20
    count = steps * forecaster.parameters.schedule.batch_rows
    rows = {horizon: np.arange(min(count, len(data.decision_time))) for horizon in HORIZONS}
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        started = time.perf_counter()
        forecaster.refit(data, rows, effort={5: 1}, seed=SEED)
        torch.cuda.synchronize()
        wall = time.perf_counter() - started
    kernels = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.device_time for event in kernels) / 1e6
    launch = empty_launch_seconds()
    gathered = len(rows[5]) * forecaster.parameters.window_hours * (forecaster.parameters.features + 6) * 4
    print(
        f"  {len(kernels) / steps:.0f} kernels a step; a refit of {steps} steps took {wall:.2f} s with preparation: "
        f"device busy {busy:.2f} s, launches alone {len(kernels) * launch:.2f} s at {launch * 1e6:.1f} µs each\n"
        f"  windows gathered {gathered / 2**20:.0f} MiB, "
        f"{gathered / copy_bytes_per_second() * 1e3:.2f} ms at copy bandwidth"
    )


def empty_launch_seconds() -> float:
    one, count = torch.zeros(1, device="cuda"), 2_000
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        one.add_(1)
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / count


def copy_bytes_per_second() -> float:
    block = torch.zeros(2**28, device="cuda")
    other = torch.empty_like(block)
    other.copy_(block)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        other.copy_(block)
    torch.cuda.synchronize()
    return 10 * 2 * block.numel() * 4 / (time.perf_counter() - started)


def main(arguments: list[str]) -> None:
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    hours = 43_000 if "full" in arguments else int(given.pop("hours", "4000"))
    epochs, features = int(given.pop("epochs", "1")), int(given.pop("features", "160"))
    wanted = given.pop("models", "lstm,tft").split(",")
    kinds = {field.name: field.type for field in fields(TrainingSchedule)}
    changed = {name: kinds[name](value) if kinds[name] in (int, float) else value for name, value in given.items()}
    schedule = replace(TrainingSchedule(), **changed)
    data = random_history(hours, features=features)
    models = {"lstm": Lstm(LstmParameters(schedule=schedule)), "tft": Tft(TftParameters(schedule=schedule))}
    for name in wanted:
        measure(models[name], data, epochs=epochs)


if __name__ == "__main__":
    main(sys.argv[1:])
