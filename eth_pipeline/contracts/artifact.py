"""What a model bundle is: the folder layout, its runtime contract, its promotion decision.

Belongs here: the shapes that the training side writes and the signal side reads. Does not belong: writing,
signing, verifying (`registry.bundle`), judging (`registry.gates`).

    bundle/
      models/lgbm_5h.onnx ...      one file per model and horizon
      runtime_contract.json        RuntimeContract: what the runtime must find
      metrics.json                 out-of-sample figures with intervals
      data.json                    DataVersions: the exact lake versions it was trained on
      promotion_decision.json      PromotionDecision
      model.sig                    OpenSSF model-signing signature over all of the above
"""

import hashlib
import json
from datetime import datetime
from typing import Literal

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from eth_pipeline.contracts.tables import INSTANT, Column, TableContract
from eth_pipeline.settings import Phase

RUNTIME_CONTRACT = "runtime_contract.json"
METRICS = "metrics.json"
DATA_VERSIONS = "data.json"
DECISION = "promotion_decision.json"
SIGNATURE = "model.sig"
MODELS = "models"

Provenance = Literal["binance", "replay", "simulated"]


OOF_FORECASTS = TableContract(
    name="oof_forecasts",
    row_is="one out-of-fold forecast of one candidate for one horizon of one hour; nothing here taught that model",
    key=("fingerprint", "horizon_hours", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("fingerprint", pl.String, "sha256", "The candidate's bundle."),
        Column("horizon_hours", pl.Int32, "hours", "Forecast horizon."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("fold", pl.Int32, "count", "Walk-forward window."),
        Column("probability", pl.Float64, "probability", "Calibrated probability of up."),
        Column("up", pl.Int8, "flag", "1 if the return was positive.", nullable=True),
        Column("forward_return", pl.Float64, "log return", "Mark price, entered at the next bar.", nullable=True),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    partition_by=("fingerprint",),
    newest_by="decision_time",
)
"""Kept so that a later candidate can be compared with this one on the same rows."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureInput(_Frozen):
    """One ordered input column; bounds are the 0.1 and 99.9 percentile of the training rows."""

    name: str
    dtype: Literal["float32"] = "float32"
    lower: float | None = None
    upper: float | None = None


class HorizonModel(_Frozen):
    """One ONNX file: float32 [rows, features] in, raw probability of up [rows] out, then Platt calibration.

    The calibrated probability is sigmoid(slope * logit(raw) + intercept), fitted out of fold.
    """

    horizon_hours: int
    file: str
    algorithm: str
    input_name: str
    output_name: str
    calibration_slope: float = 1.0
    calibration_intercept: float = 0.0
    long_threshold: float = Field(description="Act long above this calibrated probability.")
    short_threshold: float = Field(description="Act short below this calibrated probability.")


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
    feature_schema: str = Field(description="feature_schema_digest() of the ordered inputs.")
    inputs: tuple[FeatureInput, ...]
    models: tuple[HorizonModel, ...]
    opset: int
    stacking_enabled: bool = False


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
