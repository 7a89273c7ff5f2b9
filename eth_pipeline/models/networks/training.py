"""The one training loop: data on the device once, windows gathered there, one seed, one result.

Belongs here: lessons, batches, loss, early stopping, repeatability. Does not belong: networks, which rows are lessons.
Imports torch at its top: import it inside a function.

A window is never stored: the prepared hours lie on the device once ([hours, width], 43,000 hours of 40 columns are
7 MB) and a batch is one gather `hours[position + offsets]`, so that neither copies nor loaders wait.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eth_pipeline.models.dataset import Floats, Rows, TrainingSet
from eth_pipeline.models.networks.optimiser import FusedAdamW
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.sequence_body import SequenceBody
from eth_pipeline.models.networks.windows import HourGrid

_SCORED_ROWS = 1_024
_ONE_AT_A_TIME = threading.RLock()
"""torch has one random state and one set of switches per process, so trainings of several threads take turns."""


@dataclass(frozen=True)
class Hours:
    """Prepared hours on the device, [hours, width], and the steps of one window, [window_hours]."""

    prepared: Tensor
    offsets: Tensor

    def windows(self, positions: Tensor) -> Tensor:
        """The windows that end at `positions`: float32 [rows, window_hours, width]."""
        return self.prepared[positions.unsqueeze(-1) + self.offsets]


@dataclass(frozen=True)
class Lessons:
    """What is learnt from, or scored: float32 [rows, horizons] each, `taught` is 0 where a row is not of a horizon."""

    positions: Tensor
    up: Tensor
    scaled_return: Tensor
    taught: Tensor

    def to(self, device: torch.device) -> "Lessons":
        """The same on a device."""
        return Lessons(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Loss:
    """Cross entropy of the sign, plus the pinball loss of the scaled return's quantiles times its weight."""

    levels: tuple[float, ...] = ()
    quantile_weight: float = 0.0

    def of(self, answers: Tensor, lessons: Lessons, batch: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Summed loss and number of lessons by horizon, each [horizons]."""
        taught = lessons.taught[batch]
        each = functional.binary_cross_entropy_with_logits(answers[..., 0], lessons.up[batch], reduction="none")
        if self.levels:
            level = torch.tensor(self.levels, device=answers.device)
            missed = lessons.scaled_return[batch].unsqueeze(-1) - answers[..., 1:]
            each = each + self.quantile_weight * torch.maximum(level * missed, (level - 1) * missed).mean(dim=-1)
        return (each * taught).sum(dim=0), taught.sum(dim=0)


@dataclass(frozen=True)
class Trained:
    """A body on the CPU, the epochs it was trained for, and the validation loss after each."""

    body: SequenceBody
    epochs: int
    validation_losses: tuple[float, ...]


def chosen_device(schedule: TrainingSchedule) -> torch.device:
    """`auto` is CUDA where there is one."""
    if schedule.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(schedule.device)


def lay_out(prepared: Tensor, grid: HourGrid, device: torch.device) -> Hours:
    """Prepared rows [rows, width] onto the grid; an hour without a row is 0 throughout, as a row of NaN would be."""
    hours = torch.zeros(grid.hours, prepared.shape[1])
    hours[torch.from_numpy(grid.positions)] = prepared
    return Hours(hours.to(device), torch.from_numpy(grid.offsets).to(device))


def make_lessons(
    data: TrainingSet, grid: HourGrid, rows: Mapping[int, Rows], *, return_scale: Mapping[int, float]
) -> Lessons:
    """Take the targets of `rows`, by horizon; no other target is read."""
    union = np.unique(np.concatenate(list(rows.values())))
    up, scaled, taught = (np.zeros((len(union), len(rows)), dtype=np.float32) for _ in range(3))
    for number, (horizon, used) in enumerate(sorted(rows.items())):
        target, place = data.targets[horizon], np.searchsorted(union, used)
        known = np.isfinite(target.up[used]) & np.isfinite(target.forward_return[used])
        used, place = used[known], place[known]
        up[place, number] = target.up[used]
        scaled[place, number] = target.forward_return[used] / return_scale[horizon]
        taught[place, number] = 1.0
    return Lessons(torch.from_numpy(grid.positions[union]), *map(torch.from_numpy, (up, scaled, taught)))


@contextmanager
def repeatable(schedule: TrainingSchedule, *, seed: int) -> Iterator[torch.device]:
    """One seed, one thread count, deterministic kernels; everything as before afterwards.

    torch would also write a pattern into all memory it hands out, in case somebody reads before writing; nothing here
    does, and it took a tenth of the TFT's time. The kernels are switched by `set_deterministic_debug_mode`, since
    `use_deterministic_algorithms` loads torch's compiler in order to tell it, too.
    """
    device = chosen_device(schedule)
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
        memory: Any = torch.utils.deterministic  # its switch is made at import and unknown to type checkers
        filled = memory.fill_uninitialized_memory
        torch.manual_seed(seed)
        torch.set_num_threads(schedule.threads)
        torch.set_deterministic_debug_mode("warn" if device.type == "cuda" else "error")
        memory.fill_uninitialized_memory = False
        try:
            yield device
        finally:
            memory.fill_uninitialized_memory = filled
            torch.set_deterministic_debug_mode(deterministic)
            torch.set_num_threads(threads)


def train(
    make_body: Callable[[], SequenceBody],
    hours: Hours,
    lessons: Lessons,
    *,
    loss: Loss,
    schedule: TrainingSchedule,
    seed: int,
    until: int | Lessons,
) -> Trained:
    """Train one network for exactly so many epochs, or until validation stops improving; the best epoch is kept.

    Args:
        make_body: builds the network; its initial weights come from `seed`.
        hours: prepared hours.
        lessons: what is learnt.
        loss: what is made small.
        schedule: steps and stopping.
        seed: of weights, order and dropout.
        until: epochs, or the validation lessons that stop; those teach nothing else.
    """
    with repeatable(schedule, seed=seed) as device:
        body = make_body().to(device)
        lessons = lessons.to(device)
        rate, decay = schedule.learning_rate, schedule.weight_decay
        optimiser = FusedAdamW(body.parameters(), learning_rate=rate, weight_decay=decay)
        random = torch.Generator().manual_seed(seed)
        losses: list[float] = []
        best, kept = 0, body.state_dict()
        for epoch in range(1, (until if isinstance(until, int) else schedule.max_epochs) + 1):
            order = lesson_order(len(lessons.positions), epoch=epoch, stride=schedule.lesson_stride, random=random)
            _one_epoch(body, hours, lessons, optimiser, loss=loss, schedule=schedule, order=order)
            if isinstance(until, int):
                best = epoch
                continue
            losses.append(mean_loss(body, hours, until.to(device), loss))
            if epoch <= schedule.min_epochs or losses[-1] < losses[best - 1]:
                best, kept = epoch, copy.deepcopy(body.state_dict())
            elif epoch - best >= schedule.patience_epochs:
                break
        body.load_state_dict(kept)
        return Trained(body.cpu().eval(), best, tuple(losses))


def lesson_order(count: int, *, epoch: int, stride: int, random: torch.Generator) -> Tensor:
    """Which of `count` lessons epoch 1, 2, .. takes, shuffled; `stride` epochs in a row take each of them once."""
    taken = torch.arange((epoch - 1) % min(stride, count), count, stride)
    return taken[torch.randperm(len(taken), generator=random)]


def _one_epoch(
    body: SequenceBody,
    hours: Hours,
    lessons: Lessons,
    optimiser: FusedAdamW,
    *,
    loss: Loss,
    schedule: TrainingSchedule,
    order: Tensor,
) -> None:
    body.train()
    device = hours.prepared.device
    for batch in torch.split(order.to(device), schedule.batch_rows):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            answers = body(hours.windows(lessons.positions[batch]))
        summed, taught = loss.of(answers.float(), lessons, batch)
        optimiser.forget_gradients()
        (summed / taught.clamp(min=1)).mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(body.parameters(), schedule.gradient_norm)
        optimiser.step()


def mean_loss(body: SequenceBody, hours: Hours, lessons: Lessons, loss: Loss) -> float:
    """Loss per lesson, mean over horizons, without dropout and in float32."""
    summed, taught = torch.zeros(2, lessons.up.shape[1], device=hours.prepared.device)
    for start in range(0, len(lessons.positions), _SCORED_ROWS):
        batch = slice(start, start + _SCORED_ROWS)
        answers = answers_at(body, hours, lessons.positions[batch])
        parts = loss.of(answers, lessons, batch)
        summed, taught = summed + parts[0], taught + parts[1]
    return float((summed / taught.clamp(min=1)).mean())


def answers_at(body: SequenceBody, hours: Hours, positions: Tensor) -> Tensor:
    """Answers at grid positions, float32 [rows, horizons, 1 + quantiles], on the device of the hours."""
    body.eval()
    positions = positions.to(hours.prepared.device)
    with torch.no_grad():
        parts = [body(hours.windows(part)) for part in torch.split(positions, _SCORED_ROWS)]
        return torch.cat(parts)


def return_scales(data: TrainingSet, rows: Mapping[int, Rows]) -> dict[int, float]:
    """Standard deviation of the forward return over the rows that teach, by horizon."""
    scales = {}
    for horizon, used in rows.items():
        known: Floats = data.targets[horizon].forward_return[used]
        scales[horizon] = float(np.nanstd(known)) or 1.0
    return scales
