"""From out-of-fold forecasts to the evaluation report.

Belongs here: which figure is computed on which rows, and the one-sentence verdict. Does not belong: the
figures' formulas (`models.metrics`, `models.bootstrap`), the shape (`models.report`), gates (`registry`).

Every figure but one reads out-of-fold rows only. The exception is `validation_auc`: it is measured on the
rows that stopped and calibrated each fold and is there to be compared, not believed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from eth_pipeline.models.bootstrap import WeeklyResamples
from eth_pipeline.models.dataset import Floats, Mask, TrainingSet
from eth_pipeline.models.metrics import auc, auc_by_year, calibration_error, decile_spread_bps, log_loss, net_bps
from eth_pipeline.models.report import Estimate, EvaluationReport, HorizonReport, ParityReport
from eth_pipeline.models.walk_forward import WalkForward
from eth_pipeline.settings import TrainingSettings

LARGE_MOVE = 0.003
PREFERRED_HORIZON_HOURS = 5
NEWEST_SHARE = 0.25
CORE_FEATURES = 20


@dataclass(frozen=True)
class _Rows:
    """One horizon's out-of-fold columns as arrays, with the resamples they share."""

    resamples: WeeklyResamples
    decision_time: Any
    probability: Floats
    volatility: Floats
    constant: Floats
    up: Floats
    forward_return: Floats
    late_return: Floats
    position: Floats


def primary_horizon_hours(horizons_hours: tuple[int, ...]) -> int:
    """The horizon of the headline figures: 5 h where it is forecast, else the shortest."""
    return PREFERRED_HORIZON_HOURS if PREFERRED_HORIZON_HOURS in horizons_hours else min(horizons_hours)


def horizon_report(oof: pl.DataFrame, *, horizon_hours: int, settings: TrainingSettings) -> HorizonReport:
    """Every figure of one horizon.

    Args:
        oof: out-of-fold forecasts, `walk_forward.OOF_SCHEMA`; other horizons are ignored.
        horizon_hours: which one.
        settings: cost, seed and number of bootstrap samples.
    """
    rows = _rows(oof.filter(pl.col("horizon_hours") == horizon_hours).sort("decision_time"), settings)
    draws = rows.resamples.auc(rows.probability, rows.up)
    volatility_draws = rows.resamples.auc(rows.volatility, rows.up)
    value, volatility = auc(rows.probability, rows.up), auc(rows.volatility, rows.up)
    estimate = rows.resamples.estimate
    spread = decile_spread_bps(rows.probability, rows.forward_return)
    spread_draws = rows.resamples.decile_spread_bps(rows.probability, rows.forward_return)
    late_known = np.isfinite(rows.late_return) & (rows.late_return != 0)
    net, trades = _net(rows, settings.round_trip_cost_bps)
    return HorizonReport(
        horizon_hours=horizon_hours,
        rows=len(rows.up),
        auc=estimate(value, draws),
        auc_volatility=estimate(volatility, volatility_draws),
        auc_minus_volatility=estimate(value - volatility, draws - volatility_draws),
        auc_large_moves=_auc_where(rows, np.abs(rows.forward_return) > LARGE_MOVE, rows.up),
        auc_one_hour_late=_auc_where(rows, late_known, (rows.late_return > 0).astype(np.float64)),
        auc_by_year=auc_by_year(rows.probability, rows.up, rows.decision_time),
        log_loss=log_loss(rows.probability, rows.up),
        log_loss_constant=log_loss(rows.constant, rows.up),
        calibration_error=calibration_error(rows.probability, rows.up),
        decile_spread_bps=estimate(spread, spread_draws),
        net_bps_per_trade=net,
        trades=trades,
    )


def evaluate(
    data: TrainingSet,
    walk: WalkForward,
    *,
    algorithm: str,
    importance: dict[str, float],
    parity: ParityReport,
    settings: TrainingSettings,
    tries: int,
) -> EvaluationReport:
    """Fill the report a promotion decision is made from.

    Args:
        data: the training set; only its coverage and origin are read.
        walk: out-of-fold forecasts and the folds' validation figures.
        algorithm: name of the forecaster.
        importance: feature to share of gain in the final models.
        parity: of the final models' exports.
        settings: cost, seed, bootstrap samples.
        tries: configurations tried on this history, this one included; counted by the registry.
    """
    horizons = tuple(horizon_report(walk.oof, horizon_hours=h, settings=settings) for h in data.horizons_hours)
    primary = primary_horizon_hours(data.horizons_hours)
    of_primary = walk.oof.filter(pl.col("horizon_hours") == primary).sort("decision_time")
    score, up = of_primary["probability"].to_numpy(), of_primary["up"].to_numpy().astype(np.float64)
    newest = len(up) - int(len(up) * NEWEST_SHARE)
    coverage = data.coverage()
    core = sorted(importance, key=lambda name: importance[name], reverse=True)[:CORE_FEATURES]
    headline = next(report for report in horizons if report.horizon_hours == primary)
    return EvaluationReport(
        symbol=data.symbol,
        algorithm=algorithm,
        provenance=data.provenance,
        first_decision_time=_instant(of_primary["decision_time"].min()),
        last_decision_time=_instant(of_primary["decision_time"].max()),
        oof_rows=of_primary.height,
        folds=walk.folds,
        tries=tries,
        horizons=horizons,
        validation_auc=float(np.nanmean(walk.validation_auc[primary])),
        test_auc=auc(score[newest:], up[newest:]),
        oof_auc=auc(score, up),
        coverage_mean=float(np.mean(list(coverage.values()))),
        coverage_core=min(coverage[name] for name in core),
        coverage_by_feature=coverage,
        importance=importance,
        parity=parity,
        verdict=verdict(headline, round_trip_cost_bps=settings.round_trip_cost_bps),
    )


def verdict(report: HorizonReport, *, round_trip_cost_bps: float) -> str:
    """One plain sentence: better than its baselines or not, pays after costs or not."""
    h, auc_shown, difference = report.horizon_hours, _shown(report.auc), report.auc_minus_volatility
    if report.auc.value is None or report.auc.low is None:
        skill = f"Too few rows to say whether the {h} h direction is forecast"
    elif report.auc.low <= 0.5:
        skill = f"No better than a coin at {h} h (AUC {auc_shown})"
    elif difference.low is None or difference.low <= 0:
        skill = f"Not proven better than volatility alone at {h} h (AUC {auc_shown}, difference {_shown(difference)})"
    else:
        skill = f"Better than its baselines at {h} h (AUC {auc_shown}, over volatility alone {_shown(difference)})"
    return f"{skill}; {_pays(report.net_bps_per_trade, report.trades, round_trip_cost_bps)}."


def _pays(net: Estimate, trades: int, cost_bps: float) -> str:
    after = f"after {cost_bps:g} bps costs"
    if trades == 0:
        return f"it never acts, because no past tail of its forecasts clearly earned more than {cost_bps:g} bps"
    if net.value is None:
        return f"{trades} trades are too few to say whether it pays {after}"
    shown = f"{net.value:+.1f} bps per trade {after}, {trades} trades"
    if net.low is not None and net.low > 0:
        return f"it pays ({shown})"
    if net.value > 0:
        return f"it is not proven to pay ({shown}, interval reaches below zero)"
    return f"it does not pay ({shown})"


def _shown(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    interval = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{interval}"


def _rows(oof: pl.DataFrame, settings: TrainingSettings) -> _Rows:
    def floats(name: str) -> Floats:
        return oof[name].to_numpy().astype(np.float64)

    decision_time = oof["decision_time"].to_numpy()
    return _Rows(
        resamples=WeeklyResamples.of(decision_time, samples=settings.bootstrap_samples, seed=settings.seed),
        decision_time=decision_time,
        probability=floats("probability"),
        volatility=floats("volatility_probability"),
        constant=floats("constant_probability"),
        up=floats("up"),
        forward_return=floats("forward_return"),
        late_return=floats("late_return"),
        position=floats("position"),
    )


def _auc_where(rows: _Rows, mask: Mask, up: Floats) -> Estimate:
    if not mask.any():
        return Estimate(value=None, low=None, high=None)
    resamples = rows.resamples.where(mask)
    score, outcome = rows.probability[mask], up[mask]
    return resamples.estimate(auc(score, outcome), resamples.auc(score, outcome))


def _net(rows: _Rows, round_trip_cost_bps: float) -> tuple[Estimate, int]:
    earned = net_bps(rows.position, rows.forward_return, round_trip_cost_bps=round_trip_cost_bps)
    if not len(earned):
        return Estimate(value=None, low=None, high=None), 0
    resamples = rows.resamples.where(rows.position != 0)
    return resamples.estimate(float(earned.mean()), resamples.mean(earned)), len(earned)


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
