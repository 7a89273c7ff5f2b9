"""The evaluation report of a candidate: every out-of-sample figure with its interval and its baselines.

Belongs here: the shape that training fills, gates judge, MLflow and the bundle store. Does not belong:
computing the figures (`models.metrics`) or judging them (`registry.gates`).

All figures refer to out-of-fold rows only: no row that trained, stopped, calibrated or selected anything.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Frozen):
    """A figure with its 95 % weekly-block-bootstrap interval; nulls where too few rows exist."""

    value: float | None
    low: float | None
    high: float | None


class HorizonReport(_Frozen):
    """One horizon; returns are mark price to mark price, entered at the next bar."""

    horizon_hours: int
    rows: int
    auc: Estimate = Field(description="AUC of the sign of the forward return.")
    auc_volatility: Estimate = Field(description="The same AUC scored by recent volatility alone.")
    auc_minus_volatility: Estimate = Field(description="Paired difference on the same resamples.")
    auc_large_moves: Estimate = Field(description="AUC on moves larger than 0.30 %.")
    auc_one_hour_late: Estimate = Field(description="AUC when entered one hour after the decision.")
    auc_by_year: dict[str, float]
    log_loss: float
    log_loss_constant: float = Field(description="Log loss of the base rate known before each fold.")
    calibration_error: float = Field(description="Expected calibration error, ten equal-count bins.")
    decile_spread_bps: Estimate = Field(description="Mean return of the top minus the bottom decile.")
    net_bps_per_trade: Estimate = Field(description="Mean net return per trade beyond the cost-aware thresholds.")
    trades: int


class ParityReport(_Frozen):
    """ONNX against the model it came from, worst case over all horizons."""

    rows: int
    rows_at_thresholds: int
    max_abs_difference: float
    tolerance: float
    passed: bool
    p50_milliseconds: float = Field(description="One row, one core, all horizons together.")


class EvaluationReport(_Frozen):
    """Everything a promotion decision looks at."""

    symbol: str
    algorithm: str
    provenance: str
    first_decision_time: AwareDatetime
    last_decision_time: AwareDatetime
    oof_rows: int
    folds: int
    tries: int = Field(description="Configurations tried on this history, this one included.")
    horizons: tuple[HorizonReport, ...]
    validation_auc: float = Field(description="5 h sign AUC on inner validation rows, mean over folds.")
    test_auc: float = Field(description="5 h sign AUC on the newest quarter of the out-of-fold rows.")
    oof_auc: float = Field(description="5 h sign AUC on all out-of-fold rows.")
    coverage_mean: float
    coverage_core: float = Field(description="Smallest coverage among the 20 features with most gain.")
    coverage_by_feature: dict[str, float]
    importance: dict[str, float] = Field(description="Share of total gain, mean over the final models.")
    parity: ParityReport
    verdict: str = Field(description="One plain sentence: better than its baselines or not, pays or not.")

    def horizon(self, hours: int) -> HorizonReport:
        """The report of one horizon.

        Raises:
            KeyError: no such horizon.
        """
        for report in self.horizons:
            if report.horizon_hours == hours:
                return report
        raise KeyError(f"no report for horizon {hours} h; it has {[r.horizon_hours for r in self.horizons]}")
