"""What the inference service and its client say to each other: MLflow's scoring protocol, and our answer in it.

Belongs here: paths, headers, the shapes of request and answer. Does not belong: turning feature rows and forecasts
into them (`signals.forecasting.scoring`), serving (`serving`), asking (`signals.forecasting.remote`).

The request is what MLflow 3 documents for `POST /invocations`: a JSON object with exactly one of `dataframe_split` or
`inputs`. The answer has MLflow's `predictions`, one object per hour, and beside it who answered.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

INVOCATIONS = "/invocations"
PING = "/ping"
HEALTH = "/health"
VERSION = "/version"
FINGERPRINT_HEADER = "X-Bundle-Fingerprint"
VERSION_HEADER = "X-Model-Version"
DECISION_TIME = "decision_time"
TENSOR = "features"

Number = Annotated[float, Strict()]  # a text or a truth value is no feature value, whatever it could be read as
Row = tuple[Number | None, ...]
Tensor = tuple[Row, ...] | tuple[tuple[Row, ...], ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class SplitFrame(_Frozen):
    """A frame as pandas' `split` orientation writes it; its `index` is not read."""

    columns: tuple[str, ...]
    data: tuple[tuple[Number | Annotated[str, Strict()] | None, ...], ...]


class Invocation(_Frozen):
    """One request.

    Attributes:
        dataframe_split: feature rows by name. For a bundle that reads one row, every row is an hour. For one that
            reads a window, the rows are the window of one hour and a column `decision_time` (ISO 8601) places them.
        inputs: float [hours, features] or [hours, window_hours, features] in the contract's order, bare or as
            `{"features": ...}`; null and NaN are missing values.
    """

    dataframe_split: SplitFrame | None = None
    inputs: Tensor | dict[str, Tensor] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.dataframe_split is None) == (self.inputs is None):
            raise ValueError("the body must have exactly one of `dataframe_split` and `inputs`")
        return self


class Prediction(_Frozen):
    """One hour as the service forecast it; horizons in hours, quantiles in log return."""

    probabilities: dict[int, float]
    raw: dict[int, float]
    coverage: float
    out_of_bounds_share: float
    source: str
    members: dict[str, dict[int, float]]
    quantiles: dict[int, dict[float, float]]
    regime: dict[str, float]


class InferenceAnswer(_Frozen):
    """The body of an answer; fingerprint and version also stand in its headers."""

    predictions: tuple[Prediction, ...] = Field(description="One per hour asked, in order.")
    fingerprint: str = Field(description="Fingerprint of the bundle that answered.")
    model_version: str | None = Field(description="Its registry version.")
