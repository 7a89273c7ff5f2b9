"""The LSTM: one recurrent body over the window, one logit per horizon.

Belongs here: its layers. Does not belong: its parameters (`parameters`), training. Imports torch at its top: import it
inside a function.

Source: S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), 1735-1780.
"""

import torch
from torch import Tensor, nn

from eth_pipeline.models.networks.fitted import Recipe
from eth_pipeline.models.networks.input_layer import InputLayer
from eth_pipeline.models.networks.parameters import LstmParameters
from eth_pipeline.models.networks.sequence_body import SequenceBody
from eth_pipeline.models.networks.training import Loss


class LstmNetwork(SequenceBody):
    """Dropout, LSTM, its last state normalised, one linear head for all horizons."""

    def __init__(self, *, width: int, hidden: int, layers: int, horizons: int, dropout: float) -> None:
        super().__init__()
        self.layers, self.hidden = layers, hidden
        self.blind = nn.Dropout(dropout)
        self.recurrent = nn.LSTM(width, hidden, num_layers=layers, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.heads = nn.Linear(hidden, horizons)

    def forward(self, prepared: Tensor) -> Tensor:
        """float32 [rows, window_hours, width] to logits [rows, horizons, 1]."""
        start = prepared.new_zeros(self.layers, prepared.shape[0], self.hidden)
        states, _ = self.recurrent(self.blind(prepared), (start, start))
        logits: Tensor = self.heads(self.blind(self.norm(states[:, -1])))
        return logits.unsqueeze(-1)

    def shares(self, prepared: Tensor) -> Tensor:
        """Mean |gradient * value| of each column, summed over the hours of the window and the horizons."""
        given = prepared.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self(given).sum(), given)
        return (slope * given.detach()).abs().mean(dim=(0, 1))


def lstm_recipe(parameters: LstmParameters) -> Recipe:
    """How the LSTM of these parameters is made."""

    def body(inputs: InputLayer, horizons_hours: tuple[int, ...]) -> LstmNetwork:
        return LstmNetwork(
            width=inputs.width,
            hidden=parameters.hidden,
            layers=parameters.layers,
            horizons=len(horizons_hours),
            dropout=parameters.dropout,
        )

    return Recipe(
        make_body=body,
        window_hours=parameters.window_hours,
        features=parameters.features,
        clip=parameters.clip,
        phases=False,
        loss=Loss(),
        schedule=parameters.schedule,
    )
