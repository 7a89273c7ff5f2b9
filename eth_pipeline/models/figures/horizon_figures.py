"""One horizon's out-of-fold forecasts, judged: every figure with its interval and beside its baselines.

Belongs here: which figure is computed on which rows. Does not belong: the figures' formulas (`metrics`,
`bootstrap`, `pnl`, `multiple_testing`), what is said of all horizons together
(`evaluation`).

All figures of a horizon share one set of weekly resamples, so every difference is paired.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from eth_pipeline.models.dataset import Floats, Mask, Times
from eth_pipeline.models.figures.bootstrap import MIN_ROWS, WeeklyResamples
from eth_pipeline.models.figures.metrics import (
    BPS,
    auc_by_year,
    calibration_error,
    cost_outcome,
    decile_spread_bps,
    equal_count_bins,
    log_loss,
    net_bps,
    row_log_loss,
    simple_return,
)
from eth_pipeline.models.figures.pnl_figures import net_pnl
from eth_pipeline.models.figures.report import (
    ChampionFigures,
    CostLabelFigures,
    Decile,
    Estimate,
    HorizonReport,
    YearFigures,
)
from eth_pipeline.settings import TrainingSettings

LARGE_MOVE = 0.003
DECILES = 10
UNKNOWN = Estimate(value=None, low=None, high=None)


@dataclass(frozen=True)
class Rivals:
    """What a horizon is compared with besides the baselines its forecasts carry; each may be absent.

    Attributes:
        volatility: columns decision_time and volatility, the level of the volatility feature; rows without one count
            as the median.
        champion: the champion's out-of-fold forecasts, columns decision_time, horizon_hours, probability.
        tried: daily net results of earlier tries on this history, columns try_id, horizon_hours, day, net_bps (see
            `pnl.daily_pnl`), without this one.
        tries: configurations tried on this history, this one included.
    """

    volatility: pl.DataFrame | None = None
    champion: pl.DataFrame | None = None
    tried: pl.DataFrame | None = None
    tries: int = 1


@dataclass(frozen=True)
class _Rows:
    """One horizon's out-of-fold columns as arrays, with the resamples they share."""

    resamples: WeeklyResamples
    decision_time: Times
    probability: Floats
    volatility: Floats
    constant: Floats
    up: Floats
    forward_return: Floats
    late_return: Floats
    position: Floats
    pays: Floats


def horizon_report(
    oof: pl.DataFrame, *, horizon_hours: int, settings: TrainingSettings, rivals: Rivals | None = None
) -> HorizonReport:
    """Every figure of one horizon.

    Args:
        oof: out-of-fold forecasts, `walk_forward.OOF_SCHEMA`; other horizons are ignored.
        horizon_hours: which one.
        settings: cost, seed and number of bootstrap samples.
        rivals: champion, earlier tries, the level of volatility.
    """
    rivals = rivals or Rivals()
    of_horizon = oof.filter(pl.col("horizon_hours") == horizon_hours).sort("decision_time")
    rows = _rows(of_horizon, settings)
    everywhere = np.ones(len(rows.up), dtype=np.bool_)
    value, volatility, difference = _auc_against(rows, rows.volatility, everywhere)
    estimate = rows.resamples.estimate
    spread = decile_spread_bps(rows.probability, rows.forward_return)
    spread_draws = rows.resamples.decile_spread_bps(rows.probability, rows.forward_return)
    late_known = np.isfinite(rows.late_return) & (rows.late_return != 0)
    net, trades = _net(rows, settings.round_trip_cost_bps)
    over_constant = row_log_loss(rows.probability, rows.up) - row_log_loss(rows.constant, rows.up)
    return HorizonReport(
        horizon_hours=horizon_hours,
        rows=len(rows.up),
        auc=value,
        auc_volatility=volatility,
        auc_minus_volatility=difference,
        auc_large_moves=_auc_where(rows, np.abs(rows.forward_return) > LARGE_MOVE, rows.up),
        auc_one_hour_late=_auc_where(rows, late_known, (rows.late_return > 0).astype(np.float64)),
        auc_by_year=auc_by_year(rows.probability, rows.up, rows.decision_time),
        by_year=_by_year(rows),
        cost_label=_cost_label(rows, _level(of_horizon, rivals.volatility), settings.round_trip_cost_bps),
        log_loss=log_loss(rows.probability, rows.up),
        log_loss_constant=log_loss(rows.constant, rows.up),
        log_loss_minus_constant=rows.resamples.mean_estimate(over_constant),
        calibration_error=calibration_error(rows.probability, rows.up),
        calibration_bias=rows.resamples.mean_estimate(rows.probability - rows.up),
        deciles=_deciles(rows),
        decile_spread_bps=estimate(spread, spread_draws),
        net_bps_per_trade=net,
        trades=trades,
        pnl=net_pnl(
            of_horizon,
            rows.resamples,
            horizon_hours=horizon_hours,
            round_trip_cost_bps=settings.round_trip_cost_bps,
            tried=rivals.tried,
            tries=rivals.tries,
        ),
        champion=_champion(of_horizon, rivals.champion, horizon_hours, settings),
    )


def _rows(oof: pl.DataFrame, settings: TrainingSettings) -> _Rows:
    def floats(name: str) -> Floats:
        return oof[name].to_numpy().astype(np.float64)

    decision_time = oof["decision_time"].to_numpy()
    forward_return = floats("forward_return")
    return _Rows(
        resamples=WeeklyResamples.of(decision_time, samples=settings.bootstrap_samples, seed=settings.seed),
        decision_time=decision_time,
        probability=floats("probability"),
        volatility=floats("volatility_probability"),
        constant=floats("constant_probability"),
        up=floats("up"),
        forward_return=forward_return,
        late_return=floats("late_return"),
        position=floats("position"),
        pays=cost_outcome(forward_return, round_trip_cost_bps=settings.round_trip_cost_bps),
    )


def _auc_where(rows: _Rows, mask: Mask, up: Floats) -> Estimate:
    if not mask.any():
        return UNKNOWN
    return rows.resamples.where(mask).auc_estimate(rows.probability[mask], up[mask])


def _auc_against(rows: _Rows, rival: Floats, mask: Mask) -> tuple[Estimate, Estimate, Estimate]:
    """AUC of the forecast, of `rival`, and their paired difference, on the rows of `mask`."""
    if not mask.any():
        return UNKNOWN, UNKNOWN, UNKNOWN
    return rows.resamples.where(mask).auc_comparison(rows.probability[mask], rival[mask], rows.up[mask])


def _by_year(rows: _Rows) -> dict[str, YearFigures]:
    years = rows.decision_time.astype("datetime64[Y]")
    found = {}
    for year in np.unique(years):
        mask = years == year
        found[str(year)] = YearFigures(
            rows=int(mask.sum()),
            auc=_auc_where(rows, mask, rows.up),
            auc_cost_label=_auc_where(rows, mask & (rows.pays != 0), rows.up),
        )
    return found


def _cost_label(rows: _Rows, level: Floats | None, cost_bps: float) -> CostLabelFigures:
    paying = rows.pays != 0
    direction, volatility, difference = _auc_against(rows, rows.volatility, paying)
    long_pays, short_pays = ((rows.pays == side).astype(np.float64) for side in (1, -1))
    return CostLabelFigures(
        cost_bps=cost_bps,
        paying_share=float(paying.mean()),
        auc=direction,
        auc_volatility=volatility,
        auc_minus_volatility=difference,
        auc_long_pays=rows.resamples.auc_estimate(rows.probability, long_pays),
        auc_long_pays_volatility=None if level is None else rows.resamples.auc_estimate(level, long_pays),
        auc_short_pays=rows.resamples.auc_estimate(-rows.probability, short_pays),
        auc_short_pays_volatility=None if level is None else rows.resamples.auc_estimate(level, short_pays),
    )


def _level(of_horizon: pl.DataFrame, volatility: pl.DataFrame | None) -> Floats | None:
    if volatility is None:
        return None
    joined = of_horizon.select("decision_time").join(volatility, on="decision_time", how="left", maintain_order="left")
    level = joined["volatility"].fill_nan(None)
    return level.fill_null(level.median()).fill_null(0.0).to_numpy().astype(np.float64)


def _deciles(rows: _Rows) -> tuple[Decile, ...]:
    member = equal_count_bins(rows.probability, bins=DECILES)
    gained = simple_return(rows.forward_return) * BPS
    found = []
    for number in range(DECILES):
        mask = member == number
        if not mask.any():
            found.append(Decile(rows=0, probability=None, up_share=UNKNOWN, mean_return_bps=UNKNOWN))
            continue
        resamples = rows.resamples.where(mask)
        found.append(
            Decile(
                rows=int(mask.sum()),
                probability=float(rows.probability[mask].mean()),
                up_share=resamples.mean_estimate(rows.up[mask]),
                mean_return_bps=resamples.mean_estimate(gained[mask]),
            )
        )
    return tuple(found)


def _net(rows: _Rows, round_trip_cost_bps: float) -> tuple[Estimate, int]:
    earned = net_bps(rows.position, rows.forward_return, round_trip_cost_bps=round_trip_cost_bps)
    if not len(earned):
        return UNKNOWN, 0
    return rows.resamples.where(rows.position != 0).mean_estimate(earned), len(earned)


def _champion(
    of_horizon: pl.DataFrame, champion: pl.DataFrame | None, horizon_hours: int, settings: TrainingSettings
) -> ChampionFigures | None:
    if champion is None:
        return None
    theirs = champion.filter(pl.col("horizon_hours") == horizon_hours)
    both = of_horizon.join(
        theirs.select("decision_time", champion="probability"), on="decision_time", how="inner", maintain_order="left"
    )
    if both.height < MIN_ROWS:
        return None
    resamples = WeeklyResamples.of(
        both["decision_time"].to_numpy(), samples=settings.bootstrap_samples, seed=settings.seed
    )
    score, rival = both["probability"].to_numpy(), both["champion"].to_numpy()
    ours, its, difference = resamples.auc_comparison(score, rival, both["up"].to_numpy().astype(np.float64))
    return ChampionFigures(rows=both.height, auc=ours, auc_champion=its, auc_minus_champion=difference)
