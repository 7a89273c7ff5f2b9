"""Is this host fit for the plan: driver, CUDA, torch, memory, shared memory, disk, clock, and the data.

Belongs here: the questions and what to do about a no. Does not belong: whether the signal path works (`health`), a
training that proves that the GPU computes what it should (`smoke`).
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.tables import KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.host_health import Check, No, asked
from eth_pipeline.operations.plan.spec import Gpu, Requirements
from eth_pipeline.settings import Settings

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108  # the mount itself is the question
_DRIVER_SECONDS = 20.0
_QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def host_checks(settings: Settings, *, requires: Requirements, gpu: Gpu) -> tuple[Check, ...]:
    """Everything about the host itself; no exchange and no data needed.

    Args:
        settings: where it writes, on what device networks train.
        requires: from the plan's scale.
        gpu: whether a GPU is asked for; `wanted` makes its absence a warning.
    """
    hardware: tuple[tuple[str, Callable[[], str], bool], ...] = (
        ("driver", driver_answers, gpu == "required"),
        ("torch sees the GPU", torch_sees_gpu, gpu == "required"),
    )
    return (
        *(asked(name, question, required=must) for name, question, must in hardware if gpu != "none"),
        asked("memory", lambda: memory_suffices(requires.memory_gigabytes)),
        asked("shared memory", lambda: shared_memory_suffices(requires.shared_memory_megabytes)),
        asked("disk", lambda: disk_suffices(settings.home, requires.disk_gigabytes)),
    )


def data_checks(
    settings: Settings, *, requires: Requirements, now: datetime, clock_offset: timedelta | None
) -> tuple[Check, ...]:
    """Whether there is something to train on, and whether the clock can be believed.

    Args:
        settings: which lake and symbol.
        requires: from the plan's scale.
        now: exchange time, or the best estimate of it.
        clock_offset: exchange minus host as measured now; None where the exchange does not answer.
    """
    return (
        clock_check(settings, requires=requires, clock_offset=clock_offset),
        asked("data", lambda: data_is_recent(settings, now=now, newest_bar_hours=requires.newest_bar_hours)),
    )


def clock_check(settings: Settings, *, requires: Requirements, clock_offset: timedelta | None) -> Check:
    """Whether the clock can be believed; a warning where nothing answers, as on a node without internet."""

    def agrees() -> str:
        embedded = Lake.of(settings).provenance(KLINES) in ("simulated", "replay")
        return clock_agrees(clock_offset, requires.clock_offset_seconds, embedded=embedded)

    return asked("clock", agrees, required=clock_offset is not None)


def driver_answers() -> str:
    """What `nvidia-smi` says about the GPUs.

    Raises:
        No: it is absent or fails.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        raise No("There is no nvidia-smi on PATH: no driver is installed here. Install the driver of this GPU.")
    done = subprocess.run(  # noqa: S603  # the program that PATH names, arguments are literals
        [program, *_QUERY], capture_output=True, text=True, timeout=_DRIVER_SECONDS, check=False
    )
    if done.returncode != 0 or not done.stdout.strip():
        text = (done.stderr or done.stdout).strip() or "no output"
        raise No(f"nvidia-smi ended with {done.returncode}: {text}. Reboot after a driver update; look at dmesg.")
    return "; ".join(line.strip() for line in done.stdout.strip().splitlines())


def torch_sees_gpu() -> str:
    """The GPUs that torch can compute on.

    Raises:
        No: none.
    """
    import torch

    built_for = torch.version.cuda
    if built_for is None:
        raise No(
            f"torch {torch.__version__} is a CPU build. Install the CUDA build of the same version: see "
            "h800/build_wheelhouse.sh --torch-index."
        )
    if not torch.cuda.is_available():
        raise No(
            f"torch {torch.__version__} was built for CUDA {built_for} and sees no device. Compare with the driver's "
            "CUDA version in nvidia-smi; in a container pass the GPU through; in a unit set PrivateDevices=no."
        )
    torch.ones(8, device="cuda").sum().item()
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"torch {torch.__version__}, CUDA {built_for}: {', '.join(names)}"


def memory_suffices(needed_gigabytes: float) -> str:
    """Memory that processes can still get, the limit of this process's control group included.

    Raises:
        No: less than needed.
    """
    available = min(psutil.virtual_memory().available, _group_limit_bytes()) / 1e9
    text = f"{available:.1f} GB available, {needed_gigabytes:g} GB needed"
    if available < needed_gigabytes:
        raise No(f"{text}. Stop what else runs here, give the container more, or choose a smaller scale.")
    return text


def shared_memory_suffices(needed_megabytes: float, *, mount: Path = _SHARED_MEMORY) -> str:
    """Free space in /dev/shm, through which processes of one training hand each other tensors.

    Raises:
        No: less than needed, or no such mount.
    """
    if not mount.is_dir():
        raise No(f"There is no {mount}. Mount a tmpfs there.")
    free = shutil.disk_usage(mount).free / 1e6
    text = f"{free:,.0f} MB free in {mount}, {needed_megabytes:g} MB needed"
    if free < needed_megabytes:
        raise No(f"{text}. In a container start it with --shm-size; else remount {mount} larger.")
    return text


def disk_suffices(home: Path, needed_gigabytes: float) -> str:
    """Free space on the disk of the home, and whether this user may write there.

    Raises:
        No: not enough, or not writable.
    """
    folder = next((place for place in (home, *home.parents) if place.exists()), Path("/"))
    if not os.access(folder, os.W_OK):
        raise No(f"{folder} cannot be written by this user. Name another home (--home), or change its owner.")
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{free:.1f} GB free at {folder}, {needed_gigabytes:g} GB needed"
    if free < needed_gigabytes:
        raise No(f"{text}. Free space on that disk, or name another home (--home).")
    return text


def clock_agrees(offset: timedelta | None, most_seconds: float, *, embedded: bool) -> str:
    """How far the exchange's clock is from this host's; an embedded exchange lives at another date on purpose.

    Raises:
        No: further than allowed, or nothing to compare with.
    """
    if offset is None:
        raise No("The exchange does not answer, so this clock was compared with nothing. Without internet, trust NTP.")
    text = f"the exchange is {offset.total_seconds():+.3f} s from this host"
    if not embedded and abs(offset.total_seconds()) > most_seconds:
        raise No(f"{text}, {most_seconds:g} s are allowed. Let the host keep time by NTP.")
    return text


def data_is_recent(settings: Settings, *, now: datetime, newest_bar_hours: float) -> str:
    """The newest bar of the traded symbol.

    Raises:
        No: there is none, or it is too old.
    """
    import polars as pl

    newest = Lake.of(settings).newest(KLINES, where=pl.col("symbol") == settings.symbol)
    if newest is None:
        raise No(
            f"The lake {settings.masked()['lake_url'] or settings.lake_location} holds no bar of {settings.symbol}. "
            "Run `eth-pipeline backfill`, or bring a snapshot here."
        )
    age_hours = (now - newest) / timedelta(hours=1)
    text = f"the newest bar of {settings.symbol} is of {iso(newest)}, {age_hours:.1f} h old"
    if age_hours > newest_bar_hours:
        raise No(
            f"{text}; {newest_bar_hours:g} h are allowed. Run `eth-pipeline backfill`, or bring a newer snapshot here."
        )
    return text


def _group_limit_bytes() -> float:
    """What the control group of this process leaves it, in bytes; infinite where it sets no limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = (group / "memory.current").read_text().strip()
    except OSError:
        return float("inf")
    return float("inf") if limit == "max" else float(limit) - float(used)
