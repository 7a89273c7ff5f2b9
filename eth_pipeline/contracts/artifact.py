"""What a model bundle is: the folder layout, its runtime contract, its promotion decision.

Belongs here: the shapes that the training side writes and the signal side reads. Does not belong: writing,
signing, verifying (`registry.bundles.bundle`), judging (`registry.promotions.gates`).

    bundle/
      models/lightgbm_5h.onnx ...  one file per model and horizon; a network shares one file among its horizons
      runtime_contract.json        RuntimeContract: what the runtime must find
      metrics.json                 out-of-sample figures with intervals
      data.json                    DataVersions: the exact lake versions it was trained on
      drift.json                   what newest rows are compared with (optional)
      promotion_decision.json      PromotionDecision
      model.sig                    OpenSSF model-signing signature over all of the above
"""

import hashlib
import json
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from eth_pipeline.settings import Phase

RUNTIME_CONTRACT = "runtime_contract.json"
METRICS = "metrics.json"
DATA_VERSIONS = "data.json"
DECISION = "promotion_decision.json"
DRIFT = "drift.json"
SIGNATURE = "model.sig"
MODELS = "models"

Provenance = Literal["binance", "replay", "simulated"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureInput(_Frozen):
    """One ordered input column; bounds are the 0.1 and 99.9 percentile of the training rows."""

    name: str
    dtype: Literal["float32"] = "float32"
    lower: float | None = None
    upper: float | None = None


class HorizonModel(_Frozen):
    """One forecaster of one horizon: an ONNX output, then Platt calibration fitted out of fold.

    Input: float32 [rows, features], or [rows, window_hours, features] (oldest hour first, the last one is the decision
    hour) where `window_hours` is above 1. Output: raw probability of up, float32 [rows]. The calibrated probability is
    sigmoid(slope * logit(raw) + intercept).
    """

    horizon_hours: int
    file: str = Field(description="File under models/; a network's horizons name the same file.")
    algorithm: str
    input_name: str
    output_name: str
    window_hours: int = Field(1, ge=1, description="Feature rows per forecast; 1 for the decision hour alone.")
    calibration_slope: float = 1.0
    calibration_intercept: float = 0.0
    long_threshold: float = Field(description="Act long above this calibrated probability.")
    short_threshold: float = Field(description="Act short below this calibrated probability.")


class QuantileModel(_Frozen):
    """Quantiles of one horizon's log return: float32 [rows, features] in, float32 [rows, levels] out.

    The forecast of a level is the output plus its offset (conformal, fitted out of fold), then sorted.
    """

    horizon_hours: int
    file: str
    input_name: str
    output_name: str
    levels: tuple[float, ...]
    offsets: tuple[float, ...] = Field(description="Added to the output of each level, log return.")


class RegimeModel(_Frozen):
    """State of the market: float32 [rows, features] in, float32 [rows, states] probabilities out, calmest first."""

    file: str
    input_name: str
    output_name: str
    states: tuple[str, ...]


class StackModel(_Frozen):
    """Logistic stack of one horizon: sigmoid(intercept + sum of coefficient * logit(calibrated member probability)).

    Fitted on out-of-fold forecasts only. In use only where the promotion decision says `stacking_enabled`.
    """

    horizon_hours: int
    algorithms: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float
    rows: int = Field(description="Out-of-fold rows it was fitted on.")
    long_threshold: float
    short_threshold: float


class RuntimeContract(_Frozen):
    """What the runtime must find before it may forecast."""

    format_version: Literal[1] = 1
    symbol: str
    base_interval: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    trained_until: AwareDatetime
    provenance: Provenance
    code_commit: str
    lock_digest: str
    feature_schema: str = Field(description="feature_schema_digest() of the features table; inputs are some of it.")
    inputs: tuple[FeatureInput, ...]
    primary_algorithm: str = Field("lightgbm", description="Whose forecasts act where no stack is enabled.")
    models: tuple[HorizonModel, ...]
    stacks: tuple[StackModel, ...] = ()
    quantiles: tuple[QuantileModel, ...] = ()
    regime: RegimeModel | None = None
    opset: int

    @property
    def primary_models(self) -> tuple[HorizonModel, ...]:
        """The models of `primary_algorithm`, shortest horizon first."""
        chosen = [model for model in self.models if model.algorithm == self.primary_algorithm]
        return tuple(sorted(chosen, key=lambda model: model.horizon_hours))

    @property
    def files(self) -> tuple[str, ...]:
        """Every model file named, sorted, each once."""
        named = {model.file for model in self.models} | {model.file for model in self.quantiles}
        return tuple(sorted(named | ({self.regime.file} if self.regime else set())))

    @property
    def window_hours(self) -> int:
        """Feature rows the hungriest model needs."""
        return max(model.window_hours for model in self.models)


class DataVersions(_Frozen):
    """Table name to Delta version and row count: enough to rebuild the training set exactly."""

    lake: str
    versions: dict[str, int]
    rows: dict[str, int]
    first_decision_time: AwareDatetime
    last_decision_time: AwareDatetime
    digest: str = Field(description="sha256 of the training matrix bytes.")


class GateResult(_Frozen):
    """One gate: the figure, the threshold, the verdict and a sentence."""

    name: str
    value: float | str | None
    threshold: float | str | None
    passed: bool
    required_for: tuple[Phase, ...]
    reason: str


class PromotionDecision(_Frozen):
    """Every figure, threshold and reason of one decision about one candidate, for one phase."""

    decision_id: str
    decided_at: AwareDatetime
    phase: Phase
    candidate_fingerprint: str
    champion_fingerprint: str | None
    provenance: Provenance
    promoted: bool
    gates: tuple[GateResult, ...]
    stacking_enabled: bool = False
    pays_after_costs: bool
    summary: str

    @property
    def failed_gates(self) -> tuple[GateResult, ...]:
        """Gates that this phase requires and that did not pass."""
        return tuple(gate for gate in self.gates if self.phase in gate.required_for and not gate.passed)


def feature_schema_digest(names: tuple[str, ...], *, base_interval: str, definition_version: str) -> str:
    """sha256 of the ordered feature names, the base interval and the version of their definitions."""
    payload = json.dumps({"names": names, "base_interval": base_interval, "version": definition_version})
    return hashlib.sha256(payload.encode()).hexdigest()


def expired(contract: RuntimeContract, *, now: datetime) -> bool:
    """True once `now` has reached the expiry."""
    return now >= contract.expires_at
