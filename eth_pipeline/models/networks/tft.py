"""The Temporal Fusion Transformer behind the Forecaster protocol, and why it answered as it did.

Belongs here: what the protocol asks, its interpretation. Does not belong: its parameters (`parameters`), its layers
(`tft_network`, `tft_layers`), training. Imports no torch until something is trained.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from eth_pipeline.errors import ContractViolation
from eth_pipeline.models.dataset import Floats, Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import FittedForecaster
from eth_pipeline.models.networks.parameters import TftParameters


@dataclass(frozen=True)
class Tft:
    """A Temporal Fusion Transformer with quantile heads and a direction head per horizon."""

    parameters: TftParameters = field(default_factory=TftParameters)

    @property
    def algorithm(self) -> str:
        """`tft`."""
        return "tft"

    def digest(self) -> str:
        """sha256 of the parameters."""
        return hashlib.sha256(json.dumps(asdict(self.parameters), sort_keys=True).encode()).hexdigest()

    def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedForecaster:
        """Learn from `train`, keep the epoch with the best loss on `validation`, mean over horizons."""
        from eth_pipeline.models.networks.fitted import fit_network
        from eth_pipeline.models.networks.tft_network import tft_recipe

        return fit_network(tft_recipe(self.parameters), data, folds, seed=seed)

    def refit(
        self, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
    ) -> FittedForecaster:
        """Learn from `rows` for `effort` epochs."""
        from eth_pipeline.models.networks.fitted import refit_network
        from eth_pipeline.models.networks.tft_network import tft_recipe

        return refit_network(tft_recipe(self.parameters), data, rows, effort=effort, seed=seed)


@dataclass(frozen=True)
class Interpretation:
    """What a TFT looked at, mean over rows, horizons' heads and members.

    Attributes:
        variable_weights: input to its selection weight over the window; sums to 1. A calendar cycle is named
            `day_sin`, `funding_cos` and so on; `distance` is the position on the window.
        attention_by_lag: horizon to attention [window_hours], the decision hour first, then backwards; what is missing
            to 1 went to the hours ahead.
    """

    variable_weights: Mapping[str, float]
    attention_by_lag: Mapping[int, Floats]


def interpret(fitted: FittedForecaster, data: TrainingSet, rows: Rows) -> Interpretation:
    """Why a TFT answered as it did on `rows`.

    Args:
        fitted: what `Tft` returned.
        data: the training set.
        rows: rows to look at; a few hundred say enough.

    Raises:
        ContractViolation: the model is no TFT.
    """
    import torch

    from eth_pipeline.models.networks.fitted import FittedNetwork
    from eth_pipeline.models.networks.tft_network import TftNetwork
    from eth_pipeline.models.networks.windows import raw_windows

    if not isinstance(fitted, FittedNetwork) or not all(isinstance(body, TftNetwork) for body in fitted.bodies):
        raise ContractViolation("Only a TFT has attention and variable weights. Use importance() of other models.")
    prepared = fitted.inputs(torch.from_numpy(raw_windows(data, rows, window_hours=fitted.window_hours)))
    with torch.no_grad():
        explained = [body.explain(prepared) for body in fitted.bodies if isinstance(body, TftNetwork)]
    weights = np.mean([each.weights.mean(dim=0).numpy() for each in explained], axis=0)
    attention = np.mean([each.attention.mean(dim=0).numpy() for each in explained], axis=0)
    cycles = [f"{phase.name}_{part}" for phase in fitted.inputs.phases for part in ("sin", "cos")]
    names = (*fitted.inputs.names, *cycles, "distance")
    backwards = attention[:, : fitted.window_hours][:, ::-1].astype(np.float64)
    return Interpretation(
        variable_weights=dict(zip(names, map(float, weights), strict=True)),
        attention_by_lag={h: backwards[number] for number, h in enumerate(fitted.horizons_hours)},
    )
