"""Memory, open files and disk within bounds.

Belongs here: what an hour used, and growth. Does not belong: measuring (`worker`, `hours`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eth_pipeline.soak.plan import Bounds

_WARM_UP_HOURS = 3
_BREATH_MEGABYTES = 250.0
"""An hour that meets a hole reads whole tables, some 170 MB, and gives them back: no growth."""
_DISK_OVER_HOURS = 24  # the open write-ahead logs of a worker's newest runs come at once and stay as many


@dataclass(frozen=True)
class Sample:
    """What one hour used; memory and open files of the worker that ran it, `hours` orders old, disk of the home."""

    number: int
    worker_hours: int
    memory_megabytes: float
    open_files: int
    disk_megabytes: float | None


def bounded(samples: Sequence[Sample], *, bounds: Bounds) -> Iterator[str]:
    """What was used beyond the bounds."""
    for sample in samples:
        if sample.memory_megabytes > bounds.worker_memory_megabytes:
            yield f"hour {sample.number}: the worker holds {sample.memory_megabytes:.0f} MB"
        if sample.open_files > bounds.worker_open_files:
            yield f"hour {sample.number}: the worker has {sample.open_files} files open"
    warm = [sample for sample in samples if sample.worker_hours > _WARM_UP_HOURS and sample.memory_megabytes]
    first, before = None, None
    for sample in warm:
        if first is None or before is None or sample.worker_hours <= before.worker_hours:
            first = sample  # of another worker
        grown = sample.memory_megabytes - first.memory_megabytes
        hours = sample.worker_hours - first.worker_hours
        if grown > _BREATH_MEGABYTES + bounds.worker_growth_megabytes_per_day * hours / 24:
            yield f"hour {sample.number}: the worker grew by {grown:.0f} MB in {hours} h"
        before = sample
    disk = [(sample.number, sample.disk_megabytes) for sample in samples if sample.disk_megabytes is not None]
    if len(disk) > 1 and (hours := disk[-1][0] - disk[0][0]) >= _DISK_OVER_HOURS:
        per_hour = (disk[-1][1] - disk[0][1]) / hours
        if per_hour > bounds.disk_megabytes_per_hour:
            yield f"the home grew by {per_hour:.2f} MB an hour over {hours} hours"
