"""The hourly signal record: states, reason codes, and every field a consumer may rely on.

Belongs here: what one hour's record is. Does not belong: how it is decided (`signals.policy`,
`signals.hourly`) or stored (`operations.signal_log`).
"""

import json
from enum import StrEnum
from typing import Literal

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from eth_pipeline.contracts.tables import INSTANT, Column, TableContract
from eth_pipeline.settings import Phase, StalePolicy


class SignalState(StrEnum):
    """tradeable: act on it. degraded: a source or the model is missing, paper only. blocked: do not open."""

    TRADEABLE = "tradeable"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


class Action(StrEnum):
    """What the strategy wants; HOLD opens nothing."""

    LONG = "LONG"
    SHORT = "SHORT"
    HOLD = "HOLD"


class ReasonCode(StrEnum):
    """The closed list of reasons a signal may carry; docs/reason_codes.md has cause and cure of each."""

    STREAM_STALE = "stream_stale"
    STREAM_ABSENT = "stream_absent"
    SOURCE_DEGRADED = "source_degraded"
    EXCHANGE_UNREACHABLE = "exchange_unreachable"
    ARCHIVE_ONLY = "archive_only"
    DATA_GAP = "data_gap"
    FEATURES_MISSING = "features_missing"
    COVERAGE_LOW = "coverage_low"
    CONSENSUS_THIN = "consensus_thin"
    ML_UNAVAILABLE = "ml_unavailable"
    BUNDLE_ABSENT = "bundle_absent"
    BUNDLE_REFUSED = "bundle_refused"
    BUNDLE_EXPIRED = "bundle_expired"
    HOUR_MISSED = "hour_missed"
    RUN_FAILED = "run_failed"
    KILL_SWITCH = "kill_switch"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Frozen):
    """One reason: the code for machines, the subject it is about, a sentence for people."""

    code: ReasonCode
    subject: str
    detail: str


class StreamFreshness(_Frozen):
    """Lag of one stream of one symbol, measured on data time against exchange time."""

    stream: str
    symbol: str
    newest_available_at: AwareDatetime | None
    lag_hours: float | None
    max_lag_hours: float
    stale_policy: StalePolicy
    freshness_source: str | None = Field(description="`archive` or `api`: the door of the newest row.")
    fresh: bool


class TimeframeScore(_Frozen):
    """Base strategy of one timeframe, from its newest closed bar: scores 0-100 and the reason of each family."""

    timeframe: str
    close_time: AwareDatetime
    buy_score: float
    sell_score: float
    components: dict[str, float] = Field(description="Family to score in -100..100; positive means buy.")


class ConsensusSnapshot(_Frozen):
    """Everything the consensus saw; replaying it gives the same decision."""

    scores: tuple[TimeframeScore, ...]
    weights: dict[str, float]
    coverage: float
    strength: float
    direction: Action


class MlFields(_Frozen):
    """Every ML field of a signal; probabilities are calibrated and refer to the mark price."""

    ml_enabled: bool
    ml_available: bool
    ml_shadow: bool
    ml_version: str | None = None
    ml_fingerprint: str | None = None
    ml_prob_up_5h: float | None = None
    ml_prob_up_12h: float | None = None
    ml_prob_up_24h: float | None = None
    ml_source: str | None = Field(None, description="Algorithm whose probabilities act: the primary or `stacking`.")
    ml_lgb_prob: float | None = Field(None, description="LightGBM at its shortest horizon.")
    ml_members: dict[str, dict[int, float]] = Field(
        default_factory=dict, description="Algorithm to horizon in hours to calibrated probability of up."
    )
    ml_quantiles: dict[int, dict[float, float]] = Field(
        default_factory=dict, description="Horizon in hours to level to log return."
    )
    ml_regime: dict[str, float] = Field(default_factory=dict, description="Market state to probability, calmest first.")
    ml_direction: Action | None = None
    ml_confidence: float | None = None
    ml_remote_inference: bool = False
    ml_stacking_enabled: bool = False
    ml_feature_coverage: float | None = None
    ml_reason: str
    ml_error: str | None = None


class SignalRecord(_Frozen):
    """One hour, one phase, one record."""

    schema_version: Literal[1] = 1
    symbol: str
    phase: Phase
    decision_time: AwareDatetime
    emitted_at: AwareDatetime
    state: SignalState
    reasons: tuple[Reason, ...]
    gating_reason: str
    action: Action
    allow_open: bool
    allow_close: bool
    position_share: float = Field(ge=0, le=1, description="Share of equity to hold when acting.")
    held_share: float | None = Field(None, description="Signed share of equity held when deciding; null when flat.")
    buy_score: float
    sell_score: float
    consensus_strength: float
    consensus_direction: Action
    consensus_coverage: float
    consensus_snapshot: ConsensusSnapshot
    freshness: tuple[StreamFreshness, ...]
    model_version: str | None
    ml: MlFields
    mark_price: float | None
    provenance: str
    run_id: str
    code_commit: str
    config_digest: str
    table_versions: dict[str, int]

    def flat(self) -> dict[str, object]:
        """JSON types with the `ml_*` fields at top level, as written to the log."""
        record: dict[str, object] = self.model_dump(mode="json")
        ml = record.pop("ml")
        assert isinstance(ml, dict)
        return {**record, **ml}


SIGNALS = TableContract(
    name="signals",
    row_is="one hourly decision of one symbol in one phase",
    key=("symbol", "phase", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("phase", pl.String, "text", "`paper` or `live`."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour the signal is for."),
        Column("available_at", INSTANT, "instant, UTC", "When it was emitted."),
        Column("state", pl.String, "text", "`tradeable`, `degraded` or `blocked`."),
        Column("action", pl.String, "text", "`LONG`, `SHORT` or `HOLD`."),
        Column("allow_open", pl.Boolean, "flag", "An executor may open."),
        Column("position_share", pl.Float64, "share of equity", "Size when acting."),
        Column("gating_reason", pl.String, "text", "All reasons in one line; empty when tradeable."),
        Column("model_version", pl.String, "text", "Registry version of the bundle that forecast.", nullable=True),
        Column("ml_available", pl.Boolean, "flag", "A verified model answered."),
        Column("consensus_strength", pl.Float64, "0-100", "Strength of the consensus."),
        Column("run_id", pl.String, "text", "Dagster run."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
        Column("record", pl.String, "JSON", "The whole record, see `SignalRecord.flat`."),
    ),
    newest_by="decision_time",
)

CONSENSUS = TableContract(
    name="consensus",
    row_is="the multi-timeframe consensus of one symbol at one full hour",
    key=("symbol", "decision_time"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("available_at", INSTANT, "instant, UTC", "Close of the newest bar it used."),
        Column("strength", pl.Float64, "0-100", "Strength of the consensus."),
        Column("direction", pl.String, "text", "`LONG`, `SHORT` or `HOLD`."),
        Column("coverage", pl.Float64, "share", "Weight of the timeframes available over all weight."),
        Column("snapshot", pl.String, "JSON", "The whole `ConsensusSnapshot`; replaying it gives the same decision."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    newest_by="decision_time",
)
FORECASTS = TableContract(
    name="forecasts",
    row_is="the forecast of one algorithm of one verified bundle for one horizon of one symbol at one full hour",
    key=("symbol", "decision_time", "horizon_hours", "algorithm"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("decision_time", INSTANT, "instant, UTC", "The full hour."),
        Column("available_at", INSTANT, "instant, UTC", "When its newest input was known."),
        Column("horizon_hours", pl.Int64, "hours", "Forecast horizon."),
        Column("algorithm", pl.String, "text", "Who forecasts: an algorithm of the bundle, or `stacking`."),
        Column("acting", pl.Boolean, "flag", "This row decides; the others are recorded beside it."),
        Column("probability_up", pl.Float64, "probability", "Calibrated probability that the return is positive."),
        Column(
            "raw_probability",
            pl.Float64,
            "probability",
            "What the ONNX model said before calibration; of acting rows only.",
            nullable=True,
        ),
        Column("quantiles", pl.String, "JSON", "Level to log return; of acting rows only.", nullable=True),
        Column("regime", pl.String, "JSON", "Market state to probability; of acting rows only.", nullable=True),
        Column("coverage", pl.Float64, "share", "Share of non-missing inputs."),
        Column("out_of_bounds_share", pl.Float64, "share", "Share of inputs outside their training bounds."),
        Column("model_version", pl.String, "text", "Registry version."),
        Column("fingerprint", pl.String, "sha256", "Fingerprint of the bundle that answered."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
    newest_by="decision_time",
)


def record_from_json(text: str) -> SignalRecord:
    """Rebuild the record that `SignalRecord.flat` wrote.

    Raises:
        pydantic.ValidationError: the text is no signal record.
    """
    flat = json.loads(text)
    ml = {name: flat.pop(name) for name in list(flat) if name in MlFields.model_fields}
    return SignalRecord.model_validate({**flat, "ml": ml})
