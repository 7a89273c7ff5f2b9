"""The multi-horizon LSTM behind the Forecaster protocol.

Belongs here: what the protocol asks. Does not belong: its parameters (`parameters`), its layers (`lstm_network`),
training. Imports no torch until something is trained.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from eth_pipeline.models.dataset import Rows, TrainingSet
from eth_pipeline.models.folds import Fold
from eth_pipeline.models.forecaster import FittedForecaster
from eth_pipeline.models.networks.parameters import LstmParameters


@dataclass(frozen=True)
class Lstm:
    """One recurrent body, a logit of the sign of the forward return per horizon."""

    parameters: LstmParameters = field(default_factory=LstmParameters)

    @property
    def algorithm(self) -> str:
        """`lstm`."""
        return "lstm"

    def digest(self) -> str:
        """sha256 of the parameters."""
        return hashlib.sha256(json.dumps(asdict(self.parameters), sort_keys=True).encode()).hexdigest()

    def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedForecaster:
        """Learn from `train`, keep the epoch with the best log loss on `validation`, mean over horizons."""
        from eth_pipeline.models.networks.fitted import fit_network
        from eth_pipeline.models.networks.lstm_network import lstm_recipe

        return fit_network(lstm_recipe(self.parameters), data, folds, seed=seed)

    def refit(
        self, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
    ) -> FittedForecaster:
        """Learn from `rows` for `effort` epochs."""
        from eth_pipeline.models.networks.fitted import refit_network
        from eth_pipeline.models.networks.lstm_network import lstm_recipe

        return refit_network(lstm_recipe(self.parameters), data, rows, effort=effort, seed=seed)
