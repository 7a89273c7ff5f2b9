"""What every network is between its input layer and its probabilities.

Belongs here: the one shape that the training loop, the export and the importance know. Does not belong: layers.
Imports torch at its top: import it inside a function.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class SequenceBody(nn.Module, ABC):
    """Prepared windows in, one row of answers per horizon out."""

    @abstractmethod
    def forward(self, prepared: Tensor) -> Tensor:
        """float32 [rows, window_hours, width] to [rows, horizons, 1 + quantiles].

        The first answer is the logit of up, the others quantiles of the scaled forward return.
        """

    @abstractmethod
    def shares(self, prepared: Tensor) -> Tensor:
        """How much each prepared column matters on these windows, float32 [width], not negative."""
