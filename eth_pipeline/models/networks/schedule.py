"""How a network is trained: step size, penalties, when to stop, on what device.

Belongs here: the parameters of the one training loop. Does not belong: the loop (`training`), the shape of a network
(`lstm`, `tft`).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingSchedule:
    """Everything that changes training, besides the network, the data and the seed.

    Attributes:
        batch_rows: windows per step.
        learning_rate: step size of AdamW, constant: epoch n is the same whatever follows it, so a refit for n
            epochs repeats what early stopping chose.
        weight_decay: decoupled decay of every weight matrix.
        gradient_norm: longest gradient of one step.
        lesson_stride: an epoch takes every n-th row, the next epoch the rows after those: neighbouring hours share
            all but one hour of their window and most of their label, so they teach nearly the same twice.
        max_epochs: passes over the rows at most.
        min_epochs: passes at least; validation rows are few and noisy.
        patience_epochs: passes without improvement on validation before training ends.
        members: networks that differ in their seed and are averaged in logits; costs that many times.
        threads: CPU threads; sums are split by it, so another number may round differently. Two waited for each
            other on two cores that others used too: a step took 210 ms instead of 80 (2026-11-22).
        device: `auto` takes CUDA where there is one; then steps run in bfloat16 autocast and are repeatable only as
            far as its kernels are.
    """

    batch_rows: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    gradient_norm: float = 1.0
    lesson_stride: int = 1
    max_epochs: int = 12
    min_epochs: int = 2
    patience_epochs: int = 3
    members: int = 1
    threads: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
