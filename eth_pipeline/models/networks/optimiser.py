"""AdamW without torch's compiler.

Belongs here: what the optimiser remembers between steps. Does not belong: the rule itself, which is torch's
(Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101), and the loop (`training`).
Imports torch at its top: import it inside a function.

`torch.optim.AdamW` loads torch's compiler when it is made, whether anything is compiled or not: 1.3 s of a core and
72 MB in every process that trains a network (2026-11-23). Its rule is offered as a function that loads nothing.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch's defaults


class FusedAdamW:
    """The steps of `torch.optim.AdamW(.., fused=True)`, bit for bit; only matrices are decayed.

    Args:
        weights: what is trained; all on one device.
        learning_rate: of every step.
        weight_decay: of matrices; vectors, biases and gains, keep theirs.
    """

    def __init__(self, weights: Iterable[Tensor], *, learning_rate: float, weight_decay: float) -> None:
        every = list(weights)
        self._learning_rate = learning_rate
        self._groups = (
            ([weight for weight in every if weight.dim() > 1], weight_decay),
            ([weight for weight in every if weight.dim() <= 1], 0.0),
        )
        self._means = {weight: torch.zeros_like(weight) for weight in every}
        self._squares = {weight: torch.zeros_like(weight) for weight in every}
        self._steps = {weight: torch.zeros((), dtype=torch.float32, device=weight.device) for weight in every}

    def forget_gradients(self) -> None:
        """As before the first backward pass."""
        for weight in self._means:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight that has a gradient."""
        for weights, weight_decay in self._groups:
            moved = [weight for weight in weights if weight.grad is not None]
            adamw(
                moved,
                [weight.grad for weight in moved if weight.grad is not None],
                [self._means[weight] for weight in moved],
                [self._squares[weight] for weight in moved],
                [],
                [self._steps[weight] for weight in moved],
                fused=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=self._learning_rate,
                weight_decay=weight_decay,
                eps=_EPSILON,
                maximize=False,
            )
