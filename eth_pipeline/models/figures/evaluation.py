"""From out-of-fold forecasts to the evaluation report.

Belongs here: what is said of all horizons together, and the one-sentence verdict. Does not belong: the figures of
one horizon (`horizon_figures`), the shape (`report`), gates (`registry`).

Every figure but one reads out-of-fold rows only. The exception is `validation_auc`: it is measured on the
rows that stopped and calibrated each fold and is there to be compared, not believed.
"""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from eth_pipeline.contracts.wording import forecasts
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.figures.horizon_figures import Rivals, horizon_report
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.figures.report import (
    Estimate,
    EvaluationReport,
    HorizonReport,
    ParityReport,
    PermutationReport,
)
from eth_pipeline.models.out_of_fold import WalkForward
from eth_pipeline.settings import TrainingSettings

PREFERRED_HORIZON_HOURS = 5
NEWEST_SHARE = 0.25
CORE_FEATURES = 20


def primary_horizon_hours(horizons_hours: tuple[int, ...]) -> int:
    """The horizon of the headline figures: 5 h where it is forecast, else the shortest."""
    return PREFERRED_HORIZON_HOURS if PREFERRED_HORIZON_HOURS in horizons_hours else min(horizons_hours)


def evaluate(
    data: TrainingSet,
    walk: WalkForward,
    *,
    algorithm: str,
    importance: dict[str, float],
    parity: ParityReport,
    settings: TrainingSettings,
    tries: int,
    volatility_feature: str | None = None,
    champion: pl.DataFrame | None = None,
    tried: pl.DataFrame | None = None,
    permutation: PermutationReport | None = None,
) -> EvaluationReport:
    """Fill the report a promotion decision is made from.

    Args:
        data: the training set; only its coverage, its origin and its volatility feature are read.
        walk: out-of-fold forecasts and the folds' validation figures.
        algorithm: name of the forecaster.
        importance: feature to share of gain in the final models.
        parity: of the final models' exports.
        settings: cost, seed, bootstrap samples.
        tries: configurations tried on this history, this one included; counted by the registry.
        volatility_feature: gives the one-versus-rest figures of the cost label their baseline; None leaves it out.
        champion: the champion's out-of-fold forecasts; columns decision_time, horizon_hours, probability.
        tried: daily series of earlier tries, `pnl.PNL_SCHEMA` with a column try_id; without this one.
        permutation: importance of families and features out of fold.
    """
    rivals = Rivals(champion=champion, tried=tried, tries=tries)
    if volatility_feature is not None:
        rivals = replace(rivals, volatility=volatility_level(data, volatility_feature))
    horizons = tuple(
        horizon_report(walk.oof, horizon_hours=h, settings=settings, rivals=rivals) for h in data.horizons_hours
    )
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
        permutation=permutation,
        parity=parity,
        verdict=verdict(headline, round_trip_cost_bps=settings.round_trip_cost_bps),
    )


def volatility_level(data: TrainingSet, feature: str) -> pl.DataFrame:
    """Columns decision_time and volatility, NaN where missing."""
    decision_time = pl.Series(data.decision_time).dt.replace_time_zone("UTC")
    return pl.DataFrame({"decision_time": decision_time, "volatility": data.column(feature)})


def verdict(report: HorizonReport, *, round_trip_cost_bps: float) -> str:
    """One plain sentence: better than its baselines or not, pays after costs or not."""
    h, auc_shown, difference = report.horizon_hours, _shown(report.auc), report.auc_minus_volatility
    if report.auc.value is None or report.auc.low is None:
        skill = forecasts.TOO_FEW_ROWS(hours=h)
    elif report.auc.low <= 0.5:
        skill = forecasts.NO_BETTER(hours=h, auc=auc_shown)
    elif difference.low is None or difference.low <= 0:
        skill = forecasts.NOT_PROVEN(hours=h, auc=auc_shown, difference=_shown(difference))
    else:
        skill = forecasts.BETTER(hours=h, auc=auc_shown, difference=_shown(difference))
    return forecasts.VERDICT(skill=skill, pays=_pays(report.net_bps_per_trade, report.trades, round_trip_cost_bps))


def _pays(net: Estimate, trades: int, cost_bps: float) -> str:
    if trades == 0:
        return forecasts.NEVER_ACTS(cost=cost_bps)
    if net.value is None:
        return forecasts.TOO_FEW_TRADES(trades=trades, cost=cost_bps)
    shown = forecasts.PER_TRADE(net=net.value, cost=cost_bps, trades=trades)
    if net.low is not None and net.low > 0:
        return forecasts.PAYS(shown=shown)
    if net.value > 0:
        return forecasts.NOT_PROVEN_TO_PAY(shown=shown)
    return forecasts.DOES_NOT_PAY(shown=shown)


def _shown(estimate: Estimate) -> str:
    if estimate.value is None:
        return forecasts.UNKNOWN()
    interval = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{interval}"


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
