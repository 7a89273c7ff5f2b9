"""Are the sizing models worth having: quantiles against two baselines, states of the market against volatility alone.

Belongs here: the two reports' shapes and their computation from out-of-fold rows. Does not belong: making those rows
(`models.sizing.quantile`, `models.sizing.regime`), judging (`registry.promotions.gates`).

The quantiles' baseline to beat is the second one: past quantiles in units of volatility, times the volatility of the
hour. Who beats only unconditional quantiles has learnt that some days are wilder than others. The states' baseline is
volatility cut at thirds of the past.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from eth_pipeline.models.dataset import Floats, Mask, Rows
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import BPS
from eth_pipeline.models.figures.report import Estimate, ParityReport
from eth_pipeline.settings import TrainingSettings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LevelReport(_Frozen):
    """One level; a skill is the share of a baseline's pinball loss that the model saves."""

    level: float
    pinball_bps: float
    skill_over_unconditional: Estimate
    skill_over_volatility: Estimate
    share_below: Estimate = Field(description="Outcomes at or below the forecast; the level, if calibrated.")


class IntervalReport(_Frozen):
    """The interval between a level and its mirror image."""

    nominal: float
    coverage: Estimate
    coverage_without_offsets: float
    coverage_by_volatility: tuple[float, float, float] = Field(
        description="In the calmest, middle and wildest third of the hours."
    )
    mean_width_bps: float


class QuantileHorizonReport(_Frozen):
    """One horizon, out-of-fold rows only."""

    horizon_hours: int
    rows: int
    folds: int
    levels: tuple[LevelReport, ...]
    intervals: tuple[IntervalReport, ...]
    skill_over_unconditional: Estimate = Field(description="All levels together.")
    skill_over_volatility: Estimate = Field(description="All levels together.")
    crossed_share: float = Field(description="Rows whose raw levels were not ascending.")
    verdict: str


class QuantileReport(_Frozen):
    """Every horizon; parity is in log returns."""

    horizons: tuple[QuantileHorizonReport, ...]
    parity: ParityReport


class StateReport(_Frozen):
    """One state of the market, out-of-fold rows only."""

    state: str
    share: float = Field(description="Of the hours.")
    mean_dwell_hours: float = Field(description="Mean length of an unbroken stay.")
    next_volatility: Estimate = Field(description="Realised over the next 24 hours, log return per hour.")
    absolute_return_bps: Estimate = Field(description="Mean over the longest horizon.")


class RegimeReport(_Frozen):
    """What the states know; an explained share is of the variance of the log volatility of the next 24 hours."""

    rows: int
    folds: int
    states: tuple[StateReport, ...]
    explained_share: Estimate
    explained_by_thirds: Estimate = Field(description="By thirds of today's volatility alone.")
    explained_minus_thirds: Estimate = Field(description="Paired difference on the same resamples.")
    parity: ParityReport


def pinball_loss(outcome: Floats, forecast: Floats, *, level: float | Floats) -> Floats:
    """Loss of each forecast of a quantile, in the unit of the outcome (Koenker and Bassett 1978)."""
    missed = outcome - forecast
    found: Floats = np.maximum(level * missed, (level - 1) * missed)
    return found


def quantile_report(oof: pl.DataFrame, *, settings: TrainingSettings, parity: ParityReport) -> QuantileReport:
    """Judge out-of-fold rows of `models.out_of_fold.QUANTILE_OOF_SCHEMA`; intervals resample whole weeks."""
    horizons = oof["horizon_hours"].unique().sort().to_list()
    return QuantileReport(
        horizons=tuple(quantile_horizon_report(oof, horizon_hours=h, settings=settings) for h in horizons),
        parity=parity,
    )


def quantile_horizon_report(
    oof: pl.DataFrame, *, horizon_hours: int, settings: TrainingSettings
) -> QuantileHorizonReport:
    """Every figure of one horizon."""
    rows = oof.filter(pl.col("horizon_hours") == horizon_hours).sort("decision_time", "level")
    levels = rows["level"].unique().sort().to_numpy()

    def matrix(name: str) -> Floats:
        return rows[name].to_numpy().reshape(-1, len(levels))

    outcome, forecast, raw = matrix("forward_return"), matrix("quantile"), matrix("raw_quantile")
    decision_time = rows["decision_time"].to_numpy()[:: len(levels)]
    resamples = WeeklyResamples.of(decision_time, samples=settings.bootstrap_samples, seed=settings.seed)
    losses = [
        pinball_loss(outcome, matrix(name), level=levels)
        for name in ("quantile", "unconditional_quantile", "volatility_quantile")
    ]
    own, unconditional, by_volatility = losses
    wildness = matrix("volatility")[:, 0]
    thirds = np.searchsorted(np.quantile(wildness, [1 / 3, 2 / 3]), wildness)
    overall = [_skill(resamples, own.mean(axis=1), other.mean(axis=1)) for other in (unconditional, by_volatility)]
    return QuantileHorizonReport(
        horizon_hours=horizon_hours,
        rows=len(outcome),
        folds=rows["fold"].n_unique(),
        levels=tuple(
            LevelReport(
                level=float(level),
                pinball_bps=float(own[:, number].mean() * BPS),
                skill_over_unconditional=_skill(resamples, own[:, number], unconditional[:, number]),
                skill_over_volatility=_skill(resamples, own[:, number], by_volatility[:, number]),
                share_below=_mean(resamples, outcome[:, 0] <= forecast[:, number]),
            )
            for number, level in enumerate(levels)
        ),
        intervals=tuple(
            _interval(resamples, outcome[:, 0], forecast[:, ends], np.sort(raw, axis=1)[:, ends], levels[ends], thirds)
            for ends in ([number, len(levels) - 1 - number] for number in range(len(levels) // 2 - 1, -1, -1))
        ),
        skill_over_unconditional=overall[0],
        skill_over_volatility=overall[1],
        crossed_share=float((np.diff(raw, axis=1) < 0).any(axis=1).mean()),
        verdict=_verdict(horizon_hours, *overall),
    )


def _interval(
    resamples: WeeklyResamples, outcome: Floats, ends: Floats, raw_ends: Floats, levels: Floats, thirds: Rows
) -> IntervalReport:
    inside, raw_inside = ((e[:, 0] <= outcome) & (outcome <= e[:, 1]) for e in (ends, raw_ends))
    calm, middle, wild = (float(inside[thirds == third].mean()) for third in range(3))
    return IntervalReport(
        nominal=round(float(levels[1] - levels[0]), 6),
        coverage=_mean(resamples, inside),
        coverage_without_offsets=float(raw_inside.mean()),
        coverage_by_volatility=(calm, middle, wild),
        mean_width_bps=float((ends[:, 1] - ends[:, 0]).mean() * BPS),
    )


def _skill(resamples: WeeklyResamples, own: Floats, other: Floats) -> Estimate:
    drawn = 1 - resamples.mean(own) / resamples.mean(other)
    return resamples.estimate(float(1 - own.mean() / other.mean()), drawn)


def _mean(resamples: WeeklyResamples, happened: Mask) -> Estimate:
    values = happened.astype(np.float64)
    return resamples.estimate(float(values.mean()), resamples.mean(values))


def _verdict(horizon_hours: int, over_unconditional: Estimate, over_volatility: Estimate) -> str:
    if over_volatility.low is None or over_unconditional.low is None:
        return f"Too few rows to judge the quantiles at {horizon_hours} h."
    saved = f"{over_volatility.value:+.2%} [{over_volatility.low:+.2%}, {over_volatility.high:+.2%}]"
    if over_volatility.low > 0 and over_unconditional.low > 0:
        return f"Better than volatility-scaled quantiles at {horizon_hours} h (pinball loss saved: {saved})."
    return f"Not proven better than its baselines at {horizon_hours} h (over volatility-scaled quantiles: {saved})."


def regime_report(
    oof: pl.DataFrame, *, states: tuple[str, ...], settings: TrainingSettings, parity: ParityReport
) -> RegimeReport:
    """Judge out-of-fold rows of `models.sizing.regime.REGIME_OOF_SCHEMA`; intervals resample whole weeks."""
    oof = oof.sort("decision_time")
    decision_time = oof["decision_time"].to_numpy()
    state, third = (oof[name].to_numpy().astype(np.int64) for name in ("state", "volatility_third"))
    resamples = WeeklyResamples.of(decision_time, samples=settings.bootstrap_samples, seed=settings.seed)
    breaks = (np.diff(state) != 0) | (np.diff(decision_time) != np.timedelta64(1, "h"))
    begins = state[np.concatenate([[True], breaks])]
    volatility, moved = oof["next_volatility"].to_numpy(), oof["absolute_return"].to_numpy()
    known = np.isfinite(volatility) & (volatility > 0)
    of_known, logs = resamples.where(known), np.log(volatility[known])
    by_state, by_third = (_explained(of_known, logs, group[known]) for group in (state, third))
    return RegimeReport(
        rows=oof.height,
        folds=oof["fold"].n_unique(),
        states=tuple(
            StateReport(
                state=name,
                share=float((state == number).mean()),
                mean_dwell_hours=float((state == number).sum() / max((begins == number).sum(), 1)),
                next_volatility=_mean_where(resamples, volatility, state == number),
                absolute_return_bps=_mean_where(resamples, moved * BPS, state == number),
            )
            for number, name in enumerate(states)
        ),
        explained_share=of_known.estimate(*by_state),
        explained_by_thirds=of_known.estimate(*by_third),
        explained_minus_thirds=of_known.estimate(by_state[0] - by_third[0], by_state[1] - by_third[1]),
        parity=parity,
    )


def _mean_where(resamples: WeeklyResamples, values: Floats, mask: Mask) -> Estimate:
    mask = mask & np.isfinite(values)
    if not mask.any():
        return Estimate(value=None, low=None, high=None)
    return resamples.where(mask).estimate(float(values[mask].mean()), resamples.where(mask).mean(values[mask]))


def _explained(resamples: WeeklyResamples, values: Floats, group: Rows) -> tuple[float, Floats]:
    """Share of variance between groups, of the sample and of every resample."""

    def share(mean: Callable[[Floats], Any]) -> Any:
        between: Any = 0.0
        for number in np.unique(group):
            member = (group == number).astype(np.float64)
            size = mean(member)
            between = between + np.where(size > 0, mean(member * centered) ** 2 / np.where(size > 0, size, 1), 0)
        return (between - mean(centered) ** 2) / (mean(centered**2) - mean(centered) ** 2)

    centered = values - values.mean()
    return float(share(np.mean)), share(resamples.mean)
