"""Markets in which nothing can be known, every algorithm in a quick form, and intervals at any level.

Belongs here: making them, for `test_models_null_markets` and `benchmarks/null_coverage.py`. Does not belong: what is
expected of them.

46 weeks are scored, because a bootstrap of whole weeks needs weeks: of 4,000 hours with refits every 1,200 only 11 are,
and intervals that say 95 % hold one half less often there (docs/experiments.md).
"""

from dataclasses import replace

import numpy as np
import polars as pl

from eth_pipeline.models.algorithms import CROSS_ASSET, LIGHTGBM, LSTM, TFT
from eth_pipeline.models.dataset import TrainingSet
from eth_pipeline.models.feature_view import FeatureView
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc, cost_outcome
from eth_pipeline.models.figures.report import Estimate
from eth_pipeline.models.forecaster import Forecaster
from eth_pipeline.models.networks.lstm import Lstm
from eth_pipeline.models.networks.parameters import LstmParameters, TftParameters
from eth_pipeline.models.networks.schedule import TrainingSchedule
from eth_pipeline.models.networks.tft import Tft
from eth_pipeline.models.trees.boosting import Boosting
from eth_pipeline_tests.planted_history import QUICK, SMALL, planted_history

ROWS = 10_000
SETTINGS = SMALL.model_copy(update={"horizons_hours": (5,), "refit_every_hours": 3_800, "max_train_hours": 2_400})
SCHEDULE = TrainingSchedule(batch_rows=128, learning_rate=0.01, lesson_stride=4, max_epochs=2, min_epochs=1)
EVERY: tuple[Forecaster, ...] = (
    Boosting(QUICK),
    FeatureView(Boosting(QUICK), name=CROSS_ASSET, prefixes=("skill", "noise_")),
    Lstm(LstmParameters(window_hours=6, features=4, hidden=8, schedule=SCHEDULE)),
    Tft(TftParameters(window_hours=6, features=4, width=4, heads=2, schedule=SCHEDULE)),
)
NAMES = (LIGHTGBM, CROSS_ASSET, LSTM, TFT)
MARKETS = ("random walk", "shuffled labels")
_DRAWS = 4_000


def null_market(name: str, *, seed: int, rows: int = ROWS) -> TrainingSet:
    """One of `MARKETS`: no drift at all, or a drift that features spoke of and outcomes dealt out anew."""
    if name == "random walk":
        return planted_history(rows, strength=0.0, seed=seed, horizons_hours=(5,))
    data = planted_history(rows, strength=0.25, seed=seed, horizons_hours=(5,))
    order = np.random.default_rng(seed).permutation(len(data.decision_time))
    target = data.targets[5]
    dealt = {name: getattr(target, name)[order] for name in ("up", "forward_return", "late_return")}
    return replace(data, targets={5: replace(target, **dealt)})


def auc_intervals(oof: pl.DataFrame, *, share: float) -> dict[str, Estimate]:
    """AUC of forecasts on all rows ("sign") and on those that move more than they cost ("cost"), at level `share`."""
    times = oof["decision_time"].dt.replace_time_zone(None).to_numpy()
    probability, up, returns = (
        oof[name].cast(pl.Float64).to_numpy() for name in ("probability", "up", "forward_return")
    )
    resamples = WeeklyResamples.of(times, samples=_DRAWS, seed=SETTINGS.seed)
    pays = cost_outcome(returns, round_trip_cost_bps=SETTINGS.round_trip_cost_bps) != 0
    found = {}
    for label, rows in (("sign", np.ones(oof.height, dtype=bool)), ("cost", pays)):
        of_rows = resamples.where(rows)
        drawn = of_rows.auc(probability[rows], up[rows])
        found[label] = of_rows.estimate(auc(probability[rows], up[rows]), drawn, share=share)
    return found


def holds_one_half(estimate: Estimate) -> bool:
    """Whether the interval exists and contains 0.5."""
    return estimate.low is not None and estimate.high is not None and estimate.low <= 0.5 <= estimate.high
