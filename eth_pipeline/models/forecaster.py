"""What a model must be able to do to take part: one Protocol for boosting, networks and stacks.

Belongs here: the two Protocols and the shape of an exported model. Does not belong: any algorithm, any
evaluation. The walk-forward, the calibration, the report and the export know nothing else about a model.

All horizons are fitted in one call, because a network shares its body among them and boosting shares its
binned matrix. A forecaster gets the whole training set plus row numbers, because a sequence model reads the
rows before a row; it must never read targets of rows it was not given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet
from eth_pipeline.models.folds import Fold

Progress = Callable[[str, int, int], None]
"""Called as (what is being done, steps done, steps in all)."""


@dataclass(frozen=True)
class OnnxModel:
    """One horizon's ONNX model: float32 [rows, inputs] in, float32 [rows] raw probability of up out.

    A sequence model takes [rows, window_hours, inputs], oldest hour first. A network's horizons hold the same bytes
    and differ in `output_name`.
    """

    onnx: bytes
    input_name: str
    output_name: str
    opset: int


@dataclass(frozen=True)
class Probes:
    """Rows on which an export is compared with its source.

    Attributes:
        matrix: float32 [rows, features], or [rows, window_hours, features].
        at_thresholds: how many rows, the last ones, sit on split thresholds; 0 for models without splits.
        tolerance: largest difference in probability that is rounding for this kind of model.
    """

    matrix: Matrix
    at_thresholds: int
    tolerance: float


class FittedForecaster(Protocol):
    """A trained model of every horizon."""

    @property
    def window_hours(self) -> int:
        """Feature rows one forecast reads, the decision hour included; 1 for a model without memory."""
        ...

    @property
    def effort(self) -> Mapping[int, int]:
        """Boosting rounds or epochs used, by horizon in hours."""
        ...

    def probability(self, data: TrainingSet, rows: Mapping[int, Rows]) -> dict[int, Floats]:
        """Raw probability of up on `rows` of each horizon, float64 [rows]."""
        ...

    def probability_of(self, features: Matrix, *, horizon_hours: int) -> Floats:
        """Raw probability of up for `features` as the export takes them, float64 [rows]."""
        ...

    def probes(self, data: TrainingSet, *, sample: Rows, seed: int) -> Mapping[int, Probes]:
        """Rows to prove each horizon's export on: real ones of `sample`, with holes, extremes, at thresholds."""
        ...

    def importance(self) -> dict[str, float]:
        """Share of each feature in what the model learnt, mean over horizons; sums to 1 or is all 0."""
        ...

    def to_onnx(self) -> dict[int, OnnxModel]:
        """Export every horizon."""
        ...


class Forecaster(Protocol):
    """An algorithm with its parameters; holds no data."""

    @property
    def algorithm(self) -> str:
        """Short name, as written into bundles: `lightgbm`."""
        ...

    def digest(self) -> str:
        """sha256 of the parameters: two candidates of one digest are one try."""
        ...

    def fit(self, data: TrainingSet, folds: Mapping[int, Fold], *, seed: int) -> FittedForecaster:
        """Learn from `train` of each horizon's fold, stop early on `validation`, touch no other target."""
        ...

    def refit(
        self, data: TrainingSet, rows: Mapping[int, Rows], *, effort: Mapping[int, int], seed: int
    ) -> FittedForecaster:
        """Learn from `rows` for exactly `effort` rounds; nothing is held out."""
        ...
