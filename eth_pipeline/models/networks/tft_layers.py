"""The building blocks of the Temporal Fusion Transformer, each by its equation in the paper.

Belongs here: gated linear unit, gated residual network, variable selection, interpretable attention. Does not belong:
how they are put together (`tft_network`). Imports torch at its top: import it inside a function.

Source: B. Lim, S. O. Arik, N. Loeff, T. Pfister, Temporal Fusion Transformers for interpretable multi-horizon time
series forecasting, International Journal of Forecasting 37 (2021), 1748-1764; equation numbers are theirs.
The tests compare every block with an independent implementation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class GroupedLinear(nn.Module):
    """One linear map per group, all in one product: [groups, rows, inputs] to [groups, rows, outputs]."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map every group by its own weights."""
        return torch.baddbmm(self.bias, x, self.weight)


class GroupedNorm(nn.Module):
    """Layer normalisation with a gain and an offset per group, over the last axis of [groups, rows, width]."""

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.width, self.eps = width, 1e-5
        self.weight = nn.Parameter(torch.ones(groups, 1, width))
        self.bias = nn.Parameter(torch.zeros(groups, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every row."""
        return torch.addcmul(self.bias, functional.layer_norm(x, (self.width,), eps=self.eps), self.weight)


def _linear(groups: int | None, inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs) if groups is None else GroupedLinear(groups, inputs, outputs)


class GatedSkip(nn.Module):
    """LayerNorm(skip + GLU(x)), GLU(x) = (W x + b) * sigmoid(V x + c); equation 5 with the "Add & Norm" around it.

    With `groups`, every variable has its own weights and the input is [groups, rows, width].
    """

    def __init__(self, inputs: int, width: int, *, dropout: float, groups: int | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gate = _linear(groups, inputs, 2 * width)
        self.norm = nn.LayerNorm(width) if groups is None else GroupedNorm(groups, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Gate `x`, [..., inputs], and add it to `skip`, [..., width]."""
        normed: Tensor = self.norm(skip + functional.glu(self.gate(self.dropout(x)), dim=-1))
        return normed


class GatedResidual(nn.Module):
    """Gated residual network: GatedSkip(W1 ELU(W2 x + W3 context), skip=x); equations 2 to 4.

    Where inputs and outputs differ in width, the skip is a linear map, as in the authors' code.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        dropout: float,
        context: int | None = None,
        groups: int | None = None,
    ) -> None:
        super().__init__()
        self.widen = _linear(groups, inputs, hidden)
        self.context = None if context is None else nn.Linear(context, hidden, bias=False)
        self.mix = _linear(groups, hidden, hidden)
        self.skip = None if inputs == outputs else _linear(groups, inputs, outputs)
        self.gated = GatedSkip(hidden, outputs, dropout=dropout, groups=groups)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """[..., inputs] to [..., outputs]; `context` is broadcast against the rows."""
        return self.mixed(self.widen(x), x if self.skip is None else self.skip(x), context)

    def mixed(self, widened: Tensor, skip: Tensor, context: Tensor | None = None) -> Tensor:
        """What is left after its two first maps: widened [..., hidden] and skip [..., outputs] to [..., outputs]."""
        if self.context is not None and context is not None:
            widened = widened + self.context(context)
        result: Tensor = self.gated(self.mix(functional.elu(widened)), skip)
        return result


class VariableSelection(nn.Module):
    """Weighs the variables of each hour by what all of them and the static context say; equations 6 to 8."""

    def __init__(self, variables: int, width: int, *, dropout: float) -> None:
        super().__init__()
        self.weigh = GatedResidual(variables * width, width, variables, dropout=dropout, context=width)
        self.each = GatedResidual(width, width, width, dropout=dropout, groups=variables)

    def forward(self, embedded: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Select.

        Args:
            embedded: [variables, rows, width].
            context: [width], the static context for selection.

        Returns:
            Selected [rows, width] and the weights [rows, variables], which sum to 1 over the variables.
        """
        flat = embedded.transpose(0, 1).flatten(1)
        return _weighted(self.each(embedded), self.weigh(flat, context))

    def of_values(self, values: Tensor, embed: GroupedLinear, context: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward(embed(values), context)` answers, without ever laying out the embedded variables side by side.

        Embedding is affine in one number and the first maps of both residual networks are linear in the embedding, so
        one composed map leads from the numbers to each: 2 products per variable and hour instead of `width` of them.

        Args:
            values: [rows, variables].
            embed: of one number to `width`, by variable.
            context: [width], the static context for selection.
        """
        units = torch.eye(len(embed.weight), device=values.device).unsqueeze(-1)
        slope, offset = (units * embed.weight.squeeze(1)).flatten(1), embed.bias.flatten().unsqueeze(0)
        scores = self.weigh.mixed(
            _affine(self.weigh.widen, slope, offset, values), _affine(self.weigh.skip, slope, offset, values), context
        )
        slope, offset, values = embed.weight, embed.bias, values.t().unsqueeze(-1)
        each = self.each.mixed(
            _affine(self.each.widen, slope, offset, values), _affine(self.each.skip, slope, offset, values)
        )
        return _weighted(each, scores)


def _affine(layer: nn.Module | None, slope: Tensor, offset: Tensor, x: Tensor) -> Tensor:
    """`layer(x @ slope + offset)` in one product; an affine map is known by where it sends 0 and the units."""
    if layer is None:
        return x @ slope + offset
    zero = layer(offset)
    return torch.add(x @ (layer(slope + offset) - zero), zero)


def _weighted(variables: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of [variables, rows, width] by the softmax of scores [rows, variables], and that softmax."""
    weights = torch.softmax(scores, dim=-1)
    return (variables * weights.t().unsqueeze(-1)).sum(dim=0), weights


class InterpretableAttention(nn.Module):
    """Multi-head attention whose heads share their values, so that their mean explains; equations 13 to 16."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query = nn.Linear(width, heads * self.head_width, bias=False)
        self.key = nn.Linear(width, heads * self.head_width, bias=False)
        self.value = nn.Linear(width, self.head_width, bias=False)
        self.out = nn.Linear(self.head_width, width, bias=False)

    def forward(self, queries: Tensor, sequence: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: [rows, queries, width].
            sequence: [rows, steps, width].
            allowed: bool [queries, steps], False where a query may not look.

        Returns:
            [rows, queries, width] and the attention, mean over heads, [rows, queries, steps].
        """
        query = self._split(self.query(queries))
        key = self._split(self.key(sequence))
        score = query @ key.transpose(-1, -2) / math.sqrt(self.head_width)
        attention = torch.softmax(score.masked_fill(~allowed, float("-inf")), dim=-1).mean(dim=1)
        found: Tensor = self.out(attention @ self.value(sequence))
        return found, attention

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, self.head_width).transpose(1, 2)
