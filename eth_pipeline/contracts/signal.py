"""The hourly signal record: states, reason codes, and every field a consumer may rely on.

Belongs here: what one hour's record is. Does not belong: its table (`decision_tables`), how it is decided
(`signals.gating.policy`, `signals.hourly`) or stored (`operations.signal_log`).
"""

import json
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

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
    RISK_LIMIT = "risk_limit"
    REGISTRY_DOUBTED = "registry_doubted"
    RECOVERING = "recovering"


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
    reasons: dict[str, str] = Field(default_factory=dict, description="Family to the reason of its score, in words.")


class ConsensusRule(_Frozen):
    """The figures that made a consensus of scores and weights."""

    min_strength: float = Field(description="Strength (0-100) needed for a direction.")
    min_coverage: float = Field(description="Share of the weight needed for a direction.")
    full_agreement: float = Field(description="Weighted mean score that counts as full strength.")
    large_timeframes: tuple[str, ...]


class ConsensusSnapshot(_Frozen):
    """Everything the consensus saw; replaying it gives the same decision."""

    scores: tuple[TimeframeScore, ...]
    weights: dict[str, float]
    coverage: float
    strength: float
    direction: Action
    chain: tuple[str, ...] = Field((), description="Heaviest run of neighbouring timeframes that agree with the sum.")
    tone: float = Field(0.0, description="Mean buy minus sell score of the large timeframes, -100..100.")
    rule: ConsensusRule | None = Field(None, description="Null where nothing was scored.")


class ExpectedReturn(_Frozen):
    """What one horizon promises to the side its probability leans to, in bps of the position's value.

    `net_bps` is gross less costs less funding; funding that is unknown is null and not part of it.
    """

    horizon_hours: int
    side: Action
    gross_bps: float
    cost_bps: float = Field(description="Fees and slippage still to be paid; 0 where that side is held already.")
    funding_bps: float | None = Field(description="Expected payment at the settlements ahead; negative is income.")
    net_bps: float


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
    ml_remote_inference: bool = Field(False, description="The inference service answered; false: this host did.")
    ml_stacking_enabled: bool = False
    ml_feature_coverage: float | None = None
    ml_expected: tuple[ExpectedReturn, ...] = Field((), description="Per horizon that has quantiles.")
    ml_notes: tuple[str, ...] = Field((), description="What is unusual about the forecast and changes nothing.")
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
    kelly_share: float | None = Field(None, description="Growth-optimal share before any clip; null without quantiles.")
    size_limited_by: tuple[str, ...] = Field((), description="Clips that made the position smaller, in their order.")
    size_refusal: str | None = Field(None, description="Why an action got no size and became HOLD.")
    held_share: float | None = Field(None, description="Signed share of equity held when deciding; null when flat.")
    decided_by: Literal["base", "forecast"] = Field("base", description="Whose score gave the direction.")
    decision_score: float = Field(0.0, ge=-1, le=1, description="That score; its size against the strength acts.")
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


def record_from_json(text: str) -> SignalRecord:
    """Rebuild the record that `SignalRecord.flat` wrote.

    Raises:
        pydantic.ValidationError: the text is no signal record.
    """
    flat = json.loads(text)
    ml = {name: flat.pop(name) for name in list(flat) if name in MlFields.model_fields}
    return SignalRecord.model_validate({**flat, "ml": ml})
