"""The evaluation report of a candidate: every out-of-sample figure with its interval and its baselines.

Belongs here: the shape that training fills, gates judge, MLflow and the bundle store. Does not belong:
computing the figures (`metrics`) or judging them (`registry.promotions.gates`).

All figures refer to out-of-fold rows only: no row that trained, stopped, calibrated or selected anything.
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Frozen):
    """A figure with its 95 % weekly-block-bootstrap interval; nulls where too few rows exist."""

    value: float | None
    low: float | None
    high: float | None


class Decile(_Frozen):
    """A tenth of the rows by forecast; ties at an edge stay together, so a tenth may be empty."""

    rows: int
    probability: float | None = Field(description="Mean forecast; what `up_share` should be.")
    up_share: Estimate = Field(description="Share of rows that went up.")
    mean_return_bps: Estimate = Field(description="Mean simple return, before costs.")


class YearFigures(_Frozen):
    """One calendar year (UTC)."""

    rows: int
    auc: Estimate
    auc_cost_label: Estimate


class CostLabelFigures(_Frozen):
    """The forecast against the cost-aware outcome: +1 or -1 where |log return| exceeds the round trip, else 0.

    `auc` is the headline: among the moves that exceed the cost, which way they went. Volatility can tell whether a
    move will be large, hardly which way, so it cannot pass for direction there. The one-versus-rest figures ask
    whether AND which way. Volatility alone once scored 0.567 on such a label, so it is shown beside them, as the plain
    level of the volatility feature (null where it was not given).
    """

    cost_bps: float
    paying_share: float = Field(description="Share of the rows whose move exceeds the cost, either way.")
    auc: Estimate = Field(description="AUC of the sign among the moves that exceed the cost.")
    auc_volatility: Estimate = Field(description="The same AUC scored by recent volatility alone.")
    auc_minus_volatility: Estimate = Field(description="Paired difference on the same resamples.")
    auc_long_pays: Estimate = Field(description="Probability of up against `a long pays`, versus all other rows.")
    auc_long_pays_volatility: Estimate | None
    auc_short_pays: Estimate = Field(description="Probability of down against `a short pays`, versus all other rows.")
    auc_short_pays_volatility: Estimate | None


class NetPnl(_Frozen):
    """The positions beyond the cost-aware thresholds as an account (`pnl`): 1 / horizon of the capital each."""

    days: int
    sharpe: Estimate = Field(description="Annualised, of weekly sums, after costs; null where nothing was traded.")
    annual_return_bps: Estimate = Field(description="Net bps of capital per year, not compounded.")
    turnover_per_day: float = Field(description="Times the capital is bought and sold per day.")
    sharpe_per_week: float | None
    skewness: float | None
    kurtosis: float | None
    deflated_sharpe: float | None = Field(description="Probability of skill after the number of tries; see tries.")
    tries_sharpe_variance: float | None = Field(
        description="Of the tries' weekly ratios; null where their series were not given and 1 / weeks was assumed."
    )
    overfitting_probability: float | None = Field(description="By CSCV over the tries; null without their series.")
    tries_compared: int = Field(description="Series the last two figures saw, this one included.")


class ChampionFigures(_Frozen):
    """The last champion's out-of-fold forecasts on the hours that both forecast."""

    rows: int
    auc: Estimate = Field(description="The candidate's, on these hours.")
    auc_champion: Estimate
    auc_minus_champion: Estimate = Field(description="Paired difference on the same resamples.")


class PermutationDrop(_Frozen):
    """AUC lost when a family or a feature tells of another week."""

    name: str
    kind: Literal["family", "feature"]
    features: int
    drop: Estimate


class PermutationReport(_Frozen):
    """Permutation importance on the newest out-of-fold windows; families first, each kind largest drop first."""

    horizon_hours: int
    windows: int
    rows: int
    auc: Estimate = Field(description="With every feature in its place.")
    drops: tuple[PermutationDrop, ...]


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
    by_year: dict[str, YearFigures]
    cost_label: CostLabelFigures
    log_loss: float
    log_loss_constant: float = Field(description="Log loss of the base rate known before each fold.")
    log_loss_minus_constant: Estimate = Field(description="Paired difference in nats; below 0 is better.")
    calibration_error: float = Field(description="Expected calibration error, ten equal-count bins.")
    calibration_bias: Estimate = Field(description="Mean forecast minus share of up.")
    deciles: tuple[Decile, ...] = Field(description="Lowest forecasts first.")
    decile_spread_bps: Estimate = Field(description="Mean return of the top minus the bottom decile.")
    net_bps_per_trade: Estimate = Field(description="Mean net return per trade beyond the cost-aware thresholds.")
    trades: int
    pnl: NetPnl
    champion: ChampionFigures | None = Field(None, description="Null where there is no champion on these hours.")


class ParityReport(_Frozen):
    """ONNX against the model it came from, worst case over all horizons."""

    rows: int
    rows_at_thresholds: int
    max_abs_difference: float
    tolerance: float
    passed: bool
    p50_milliseconds: float = Field(description="One row, one core, all horizons together.")


class MemberFigures(_Frozen):
    """One algorithm of the bundle, or the stack, beside the primary on the hours that both forecast."""

    algorithm: str
    horizon_hours: int
    rows: int
    auc: Estimate
    auc_minus_primary: Estimate = Field(description="Paired difference on the same resamples.")
    log_loss: float
    log_loss_primary: float


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
    permutation: PermutationReport | None = Field(None, description="Null where it was not asked for.")
    parity: ParityReport
    verdict: str = Field(description="One plain sentence: better than its baselines or not, pays or not.")
    members: tuple[MemberFigures, ...] = Field((), description="Other algorithms of the bundle, and the stack.")

    def horizon(self, hours: int) -> HorizonReport:
        """The report of one horizon.

        Raises:
            KeyError: no such horizon.
        """
        for report in self.horizons:
            if report.horizon_hours == hours:
                return report
        raise KeyError(f"no report for horizon {hours} h; it has {[r.horizon_hours for r in self.horizons]}")
