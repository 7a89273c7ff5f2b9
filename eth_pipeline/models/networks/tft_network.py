"""The Temporal Fusion Transformer, assembled as published.

Belongs here: the order of the blocks (`tft_layers`). Does not belong: parameters (`parameters`), training. Imports
torch at its top: import it inside a function.

What takes the paper's places here:
- Observed inputs: the chosen features of the window's hours.
- Known inputs, past and future: sine and cosine of day, week and funding cycle, and the distance from the decision.
  The future ones are turned from the decision hour's own, inside the graph.
- Static covariate: one learnt vector, since one network forecasts one symbol; it feeds the four context networks.
- Decoder steps 1 .. longest horizon; attention, feed-forward and heads run at the horizons only, which changes nothing
  because no step's answer reads another step's.
- Quantile heads as published, on the return over its scale, and beside them the logit of up, one of each per horizon.

Source: as `tft_layers`; section and equation numbers are those of the paper.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eth_pipeline.models.networks.fitted import Recipe
from eth_pipeline.models.networks.input_layer import InputLayer, Phase, rotation
from eth_pipeline.models.networks.parameters import TftParameters
from eth_pipeline.models.networks.sequence_body import SequenceBody
from eth_pipeline.models.networks.tft_layers import (
    GatedResidual,
    GatedSkip,
    GroupedLinear,
    InterpretableAttention,
    VariableSelection,
)
from eth_pipeline.models.networks.training import Loss


@dataclass(frozen=True)
class TftShape:
    """Sizes of a Temporal Fusion Transformer."""

    window_hours: int
    features: int
    phases: tuple[Phase, ...]
    horizons_hours: tuple[int, ...]
    width: int
    heads: int
    dropout: float
    quantiles: int


@dataclass(frozen=True)
class Explained:
    """Why: variable weights [rows * window_hours, past variables], attention [rows, horizons, steps]."""

    weights: Tensor
    attention: Tensor


class StaticContext(nn.Module):
    """Four contexts from the static covariate, section 4.3."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.covariate = nn.Parameter(torch.randn(width) * 0.1)
        self.selection, self.enrichment, self.cell, self.hidden = (
            GatedResidual(width, width, width, dropout=dropout) for _ in range(4)
        )

    def forward(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Contexts for selection, enrichment, the LSTM's cell and hidden state; each [width]."""
        covariate = self.covariate
        return self.selection(covariate), self.enrichment(covariate), self.cell(covariate), self.hidden(covariate)


class TemporalFusion(nn.Module):
    """LSTM encoder and decoder, static enrichment, attention, feed-forward; section 4.5."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.LSTM(width, width, batch_first=True)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.local = GatedSkip(width, width, dropout=dropout)
        self.enrich = GatedResidual(width, width, width, dropout=dropout, context=width)
        self.attention = InterpretableAttention(width, heads)
        self.attended = GatedSkip(width, width, dropout=dropout)
        self.feed_forward = GatedResidual(width, width, width, dropout=dropout)
        self.decoded = GatedSkip(width, width, dropout=0.0)

    def forward(
        self, past: Tensor, future: Tensor, contexts: tuple[Tensor, Tensor, Tensor], steps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            past: selected past inputs [rows, window_hours, width].
            future: selected known inputs [rows, longest horizon, width].
            contexts: of enrichment, cell and hidden state, each [width].
            steps: int64 [horizons], positions on past and future together that are answered.

        Returns:
            [rows, horizons, width] and the attention [rows, horizons, window_hours + longest horizon].
        """
        enrichment, cell, hidden = contexts
        cell, hidden = (state.expand(1, past.shape[0], -1).contiguous() for state in (cell, hidden))
        encoded, state = self.encoder(past, (hidden, cell))
        decoded, _ = self.decoder(future, state)
        temporal = self.local(torch.cat([encoded, decoded], dim=1), torch.cat([past, future], dim=1))
        enriched = self.enrich(temporal, enrichment)
        asked = torch.index_select(enriched, 1, steps)
        allowed = torch.arange(past.shape[1] + future.shape[1], device=steps.device) <= steps.unsqueeze(-1)
        found, attention = self.attention(asked, enriched, allowed)
        answered = self.feed_forward(self.attended(found, asked))
        return self.decoded(answered, torch.index_select(temporal, 1, steps)), attention


class TftNetwork(SequenceBody):
    """The whole network, from prepared windows to logits and quantiles."""

    distance: Tensor
    turn: Tensor
    steps: Tensor

    def __init__(self, shape: TftShape) -> None:
        super().__init__()
        self.shape = shape
        longest, width, known = max(shape.horizons_hours), shape.width, 2 * len(shape.phases) + 1
        self.embed_past = GroupedLinear(shape.features + known, 1, width)
        self.embed_future = GroupedLinear(known, 1, width)
        self.context = StaticContext(width, dropout=shape.dropout)
        self.select_past = VariableSelection(shape.features + known, width, dropout=shape.dropout)
        self.select_future = VariableSelection(known, width, dropout=shape.dropout)
        self.fusion = TemporalFusion(width, heads=shape.heads, dropout=shape.dropout)
        self.heads = nn.ModuleList(nn.Linear(width, 1 + shape.quantiles) for _ in shape.horizons_hours)
        distance = torch.arange(1 - shape.window_hours, longest + 1, dtype=torch.float32) / longest
        self.register_buffer("distance", distance.unsqueeze(-1))
        self.register_buffer("turn", rotation(shape.phases, hours_ahead=longest))
        steps = [shape.window_hours - 1 + horizon for horizon in shape.horizons_hours]
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.int64))

    def forward(self, prepared: Tensor) -> Tensor:
        """float32 [rows, window_hours, features + phases] to [rows, horizons, 1 + quantiles]."""
        fused, _, _ = self._fuse(prepared)
        return torch.stack([head(fused[:, number]) for number, head in enumerate(self.heads)], dim=1)

    def explain(self, prepared: Tensor) -> Explained:
        """Variable weights of the past and attention of every horizon."""
        _, weights, attention = self._fuse(prepared)
        return Explained(weights, attention)

    def shares(self, prepared: Tensor) -> Tensor:
        """Mean selection weight of each prepared column; the distance from the decision is no feature."""
        return self.explain(prepared).weights.mean(dim=0)[:-1]

    def _fuse(self, prepared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        selection, *contexts = self.context()
        window, longest = self.shape.window_hours, max(self.shape.horizons_hours)
        past = self._with_distance(prepared, self.distance[:window])
        phases_now = prepared[:, -1, self.shape.features :]
        phases_later = (phases_now.unsqueeze(1).unsqueeze(1) @ self.turn).squeeze(2)
        future = self._with_distance(phases_later, self.distance[window:])
        past_selected, weights = self.select_past.of_values(past.flatten(0, 1), self.embed_past, selection)
        future_selected, _ = self.select_future.of_values(future.flatten(0, 1), self.embed_future, selection)
        width = self.shape.width
        fused, attention = self.fusion(
            past_selected.reshape(-1, window, width),
            future_selected.reshape(-1, longest, width),
            tuple(contexts),
            self.steps,
        )
        return fused, weights, attention

    @staticmethod
    def _with_distance(inputs: Tensor, distance: Tensor) -> Tensor:
        return torch.cat([inputs, distance.expand(inputs.shape[0], -1, -1)], dim=-1)


def tft_recipe(parameters: TftParameters) -> Recipe:
    """How the TFT of these parameters is made."""

    def body(inputs: InputLayer, horizons_hours: tuple[int, ...]) -> TftNetwork:
        return TftNetwork(
            TftShape(
                window_hours=parameters.window_hours,
                features=len(inputs.names),
                phases=inputs.phases,
                horizons_hours=horizons_hours,
                width=parameters.width,
                heads=parameters.heads,
                dropout=parameters.dropout,
                quantiles=len(parameters.levels),
            )
        )

    return Recipe(
        make_body=body,
        window_hours=parameters.window_hours,
        features=parameters.features,
        clip=parameters.clip,
        phases=True,
        loss=Loss(parameters.levels, parameters.quantile_weight),
        schedule=parameters.schedule,
    )
