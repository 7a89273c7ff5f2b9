"""From raw feature rows to what a network reads; part of the exported graph, so nothing is prepared outside it.

Belongs here: choice of columns, scaling, missing values, the calendar's phases. Does not belong: learning which columns
and scales (`inputs`). Imports torch at its top: import it inside a function.

Missing and infinite values become 0, the median. What is present is clipped, so no input however large can carry a
forecast away.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eth_pipeline.models.networks.inputs import InputScaling

_LARGEST_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True)
class Phase:
    """A cycle that is known ahead of time, read from the decision row.

    Attributes:
        name: of the cycle.
        period_hours: length of the cycle.
        names: the features that tell where in the cycle an hour lies.
    """

    name: str
    period_hours: int
    names: tuple[str, ...]


PHASES = (
    Phase("day", 24, ("hour_sin", "hour_cos")),
    Phase("week", 168, ("weekday_sin", "weekday_cos", "hour")),
    Phase("funding", 8, ("hours_to_funding",)),
)
"""Day, week (the weekday's angle plus the hour's share of it) and the usual 8 hours between settlements."""


class InputLayer(nn.Module):
    """Scaled chosen features, then sine and cosine of each known phase: [..., features] to [..., width]."""

    columns: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, scaling: InputScaling, feature_names: tuple[str, ...], *, clip: float, phases: bool) -> None:
        super().__init__()
        self.clip = clip
        self.phases = known_phases(feature_names) if phases else ()
        self.names = tuple(feature_names[column] for column in scaling.columns)
        self.register_buffer("columns", torch.tensor(scaling.columns, dtype=torch.int64))
        self.register_buffer("centre", torch.tensor(scaling.centre, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32))
        self._position = {name: feature_names.index(name) for phase in self.phases for name in phase.names}
        self.width = len(scaling.columns) + 2 * len(self.phases)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The feature behind each output column; a phase's two are named after its first feature."""
        return (*self.names, *(phase.names[0] for phase in self.phases for _ in range(2)))

    def forward(self, raw: Tensor) -> Tensor:
        """Prepare raw rows; float32 [..., features] to [..., width], finite whatever comes in."""
        chosen = torch.index_select(raw, -1, self.columns)
        scaled = torch.clamp((chosen - self.centre) / self.scale, -self.clip, self.clip)
        parts = [torch.where(_present(chosen), scaled, torch.zeros_like(scaled))]
        parts += [self._phase(raw, phase) for phase in self.phases]
        return torch.cat(parts, dim=-1)

    def _phase(self, raw: Tensor, phase: Phase) -> Tensor:
        given = [raw[..., self._position[name]] for name in phase.names]
        if phase.name == "funding":
            angle = torch.clamp(-given[0], -8.0, 0.0) * (2 * math.pi / 8)
            pair = [torch.sin(angle), torch.cos(angle)]
        else:
            pair = [torch.clamp(value, -1.0, 1.0) for value in given[:2]]
        if phase.name == "week":
            angle = torch.clamp(given[2], 0.0, 24.0) * (2 * math.pi / 168)
            pair = [
                pair[0] * torch.cos(angle) + pair[1] * torch.sin(angle),
                pair[1] * torch.cos(angle) - pair[0] * torch.sin(angle),
            ]
        known = _present(given[0])
        for value in given[1:]:
            known = known & _present(value)
        return torch.stack([torch.where(known, value, torch.zeros_like(value)) for value in pair], dim=-1)


def known_phases(feature_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """The phases whose features are all there."""
    return tuple(phase for phase in PHASES if set(phase.names) <= set(feature_names))


def rotation(phases: tuple[Phase, ...], *, hours_ahead: int) -> Tensor:
    """Turns the phases of an hour into those of the next hours: float32 [hours_ahead, 2 * phases, 2 * phases].

    `phase_now @ rotation[k - 1]` is the phase k hours later: a cycle known now is known for good.
    """
    turned = torch.zeros(hours_ahead, 2 * len(phases), 2 * len(phases))
    for number, phase in enumerate(phases):
        angle = torch.arange(1, hours_ahead + 1) * (2 * math.pi / phase.period_hours)
        sine, cosine = 2 * number, 2 * number + 1
        turned[:, sine, sine] = turned[:, cosine, cosine] = torch.cos(angle)
        turned[:, cosine, sine] = torch.sin(angle)
        turned[:, sine, cosine] = -torch.sin(angle)
    return turned


def _present(values: Tensor) -> Tensor:
    return torch.abs(values) <= _LARGEST_FLOAT32
