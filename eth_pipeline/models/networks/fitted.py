"""A trained network of either kind, and how it comes to be: choice of inputs, members, answers.

Belongs here: what the LSTM and the TFT do alike around the training loop. Does not belong: the loop (`training`), what
tells the two apart (`lstm`, `tft`). Imports torch at its top: import it inside a function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from eth_pipeline.models.calibration import sigmoid
from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import OnnxModel, Probes
from eth_pipeline.models.networks.export import ExportedNetwork, export_network
from eth_pipeline.models.networks.input_layer import PHASES, InputLayer
from eth_pipeline.models.networks.inputs import fit_inputs
from eth_pipeline.models.networks.probes import probe_windows
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.sequence_body import SequenceBody
from eth_pipeline.models.networks.training import (
    Hours,
    Lessons,
    Loss,
    Trained,
    answers_at,
    lay_out,
    make_lessons,
    repeatable,
    return_scales,
    train,
)
from eth_pipeline.models.networks.windows import hour_grid

_SEED_STEP = 1_000
_ROWS_EXPLAINED = 512
_ROWS_AT_ONCE = 512

MakeBody = Callable[[InputLayer, tuple[int, ...]], SequenceBody]


@dataclass(frozen=True)
class Recipe:
    """What makes one kind of network.

    Attributes:
        make_body: builds an untrained body for an input layer and horizons.
        window_hours: hours of one window.
        features: features to choose.
        clip: largest scaled input, in robust standard deviations.
        phases: whether the input layer adds the calendar's phases; their features are then not chosen again.
        loss: what is made small.
        schedule: how it is trained.
    """

    make_body: MakeBody
    window_hours: int
    features: int
    clip: float
    phases: bool
    loss: Loss
    schedule: TrainingSchedule


@dataclass(frozen=True)
class FittedNetwork:
    """Members with one input layer; probabilities average the members' logits.

    Attributes:
        window_hours: feature rows one forecast reads, the decision hour included.
        schedule: how it was trained; its device and threads also score.
        inputs: the input layer.
        bodies: the members, on the CPU.
        horizons_hours: order of the answers, shortest first.
        epochs: epochs each member was trained for.
        shares: share of each prepared column in what was learnt, summing to 1.
        return_scale: horizon to the return that the quantile answers are multiples of.
        feature_names: columns of the raw input.
    """

    window_hours: int
    schedule: TrainingSchedule
    inputs: InputLayer
    bodies: tuple[SequenceBody, ...]
    horizons_hours: tuple[int, ...]
    epochs: int
    shares: tuple[float, ...]
    return_scale: Mapping[int, float]
    feature_names: tuple[str, ...]

    @property
    def effort(self) -> Mapping[int, int]:
        """Epochs; the same for every horizon, because they share one body."""
        return dict.fromkeys(self.horizons_hours, self.epochs)

    def probability(self, data: TrainingSet, rows: Mapping[int, Rows]) -> dict[int, Floats]:
        """Raw probability of up on `rows` of each horizon, float64 [rows]."""
        return {h: sigmoid(self.answers(data, used)[:, self.horizons_hours.index(h), 0]) for h, used in rows.items()}

    def answers(self, data: TrainingSet, rows: Rows) -> Floats:
        """Mean over members of the logit and the scaled quantiles, float64 [rows, horizons, 1 + quantiles]."""
        grid = hour_grid(data.decision_time, window_hours=self.window_hours)
        with repeatable(self.schedule, seed=0) as device:
            hours = lay_out(_prepared(self.inputs, data), grid, device)
            positions = torch.from_numpy(grid.positions[rows])
            answered = [answers_at(body.to(device), hours, positions).cpu() for body in self.bodies]
            for body in self.bodies:
                body.cpu()
        mean: Floats = torch.stack(answered).mean(dim=0).double().numpy()
        return mean

    def probability_of(self, features: Matrix, *, horizon_hours: int) -> Floats:
        """Raw probability of up for raw windows [rows, window_hours, features], on the CPU, float64 [rows]."""
        network = ExportedNetwork(self.inputs, self.bodies).eval()
        number = self.horizons_hours.index(horizon_hours)
        with torch.no_grad():
            parts = [network(part)[number] for part in torch.split(torch.from_numpy(features), _ROWS_AT_ONCE)]
        answer: Floats = torch.cat(parts).double().numpy()
        return answer

    def probes(self, data: TrainingSet, *, sample: Rows, seed: int) -> dict[int, Probes]:
        """Real windows, holes, missing hours, extremes; the same for every horizon."""
        windows = probe_windows(data, sample=sample, window_hours=self.window_hours, seed=seed)
        return dict.fromkeys(self.horizons_hours, windows)

    def importance(self) -> dict[str, float]:
        """Share of each feature in what was learnt, 0 for features that were not chosen; sums to 1."""
        found = dict.fromkeys(self.feature_names, 0.0)
        for name, share in zip(self.inputs.column_names, self.shares, strict=True):
            found[name] += share
        return found

    def to_onnx(self) -> dict[int, OnnxModel]:
        """One file with an output per horizon; input raw float32 [rows, window_hours, features] with NaN."""
        return export_network(
            ExportedNetwork(self.inputs, self.bodies),
            window_hours=self.window_hours,
            features=len(self.feature_names),
            horizons_hours=self.horizons_hours,
        )


def fit_network(recipe: Recipe, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedNetwork:
    """Learn from `train`, stop on `validation`; the first member finds the epochs, the others follow it."""
    validation = {h: fold.validation for h, fold in folds.items()}
    return _learn(recipe, data, {h: fold.train for h, fold in folds.items()}, validation, seed=seed)


def refit_network(
    recipe: Recipe, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
) -> FittedNetwork:
    """Learn from `rows` for the epochs of `effort`; where horizons differ, for their mean: they share one body."""
    return _learn(recipe, data, rows, max(1, round(float(np.mean(list(effort.values()))))), seed=seed)


def _learn(
    recipe: Recipe,
    data: TrainingSet,
    rows: Mapping[int, Rows],
    until: int | Mapping[int, Rows],
    *,
    seed: int,
) -> FittedNetwork:
    horizons = tuple(sorted(rows))
    leave_out = {data.feature_names.index(n) for p in PHASES for n in p.names if n in data.feature_names}
    scaling = fit_inputs(
        data, rows, count=recipe.features, leave_out=frozenset(leave_out) if recipe.phases else frozenset()
    )
    inputs = InputLayer(scaling, data.feature_names, clip=recipe.clip, phases=recipe.phases)
    grid = hour_grid(data.decision_time, window_hours=recipe.window_hours)
    scale = return_scales(data, rows)
    lessons = make_lessons(data, grid, rows, return_scale=scale)
    stop = until if isinstance(until, int) else make_lessons(data, grid, until, return_scale=scale)
    with repeatable(recipe.schedule, seed=seed) as device:
        hours = lay_out(_prepared(inputs, data), grid, device)

    def member(number: int, end: int | Lessons) -> Trained:
        return train(
            lambda: recipe.make_body(inputs, horizons),
            hours,
            lessons,
            loss=recipe.loss,
            schedule=recipe.schedule,
            seed=seed + _SEED_STEP * number,
            until=end,
        )

    first = member(0, stop)
    trained = [first, *(member(number, first.epochs) for number in range(1, recipe.schedule.members))]
    return FittedNetwork(
        window_hours=recipe.window_hours,
        schedule=recipe.schedule,
        inputs=inputs,
        bodies=tuple(each.body for each in trained),
        horizons_hours=horizons,
        epochs=first.epochs,
        shares=_shares([each.body for each in trained], hours, lessons),
        return_scale=scale,
        feature_names=data.feature_names,
    )


def _prepared(inputs: InputLayer, data: TrainingSet) -> torch.Tensor:
    prepared: torch.Tensor = inputs(torch.from_numpy(data.features))
    return prepared


def _shares(bodies: list[SequenceBody], hours: Hours, lessons: Lessons) -> tuple[float, ...]:
    """Shares on lessons spread over all of them, mean over members."""
    spread = torch.linspace(0, len(lessons.positions) - 1, min(_ROWS_EXPLAINED, len(lessons.positions))).long()
    windows = hours.windows(lessons.positions[spread].to(hours.prepared.device)).cpu()
    each = []
    for body in bodies:
        found = body.shares(windows).detach().double()
        each.append(found / found.sum().clamp(min=1e-30))
    return tuple(map(float, torch.stack(each).mean(dim=0)))
