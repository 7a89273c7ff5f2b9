"""How the other algorithms of a bundle, and the stack, do beside the primary on the hours that both forecast.

Belongs here: the paired figures. Does not belong: what follows from them (`registry.promotions.gates`), the stack
itself (`models.stacking`).
"""

from collections.abc import Mapping

import polars as pl

from eth_pipeline.models.figures.bootstrap import MIN_ROWS, WeeklyResamples
from eth_pipeline.models.figures.metrics import auc, log_loss
from eth_pipeline.models.figures.report import MemberFigures
from eth_pipeline.settings import TrainingSettings


def compare_members(
    primary: pl.DataFrame, others: Mapping[str, pl.DataFrame], *, settings: TrainingSettings
) -> tuple[MemberFigures, ...]:
    """Figures of every other algorithm and horizon, in the order given.

    Args:
        primary: out-of-fold forecasts, `walk_forward.OOF_SCHEMA`.
        others: algorithm to the same of its own.
        settings: bootstrap samples and seed.
    """
    found = []
    for algorithm, oof in others.items():
        for horizon in sorted(oof["horizon_hours"].unique()):
            both = _both(primary, oof, horizon)
            if both.height >= MIN_ROWS:
                found.append(_figures(both, algorithm, horizon, settings))
    return tuple(found)


def _both(primary: pl.DataFrame, other: pl.DataFrame, horizon: int) -> pl.DataFrame:
    ours = primary.filter(pl.col("horizon_hours") == horizon).select("decision_time", "probability", "up")
    theirs = other.filter(pl.col("horizon_hours") == horizon)
    return ours.join(
        theirs.select("decision_time", pl.col("probability").alias("other")), on="decision_time", how="inner"
    ).sort("decision_time")


def _figures(both: pl.DataFrame, algorithm: str, horizon: int, settings: TrainingSettings) -> MemberFigures:
    times = both["decision_time"].dt.replace_time_zone(None).to_numpy()
    up, ours, theirs = (both[name].cast(pl.Float64).to_numpy() for name in ("up", "probability", "other"))
    resamples = WeeklyResamples.of(times, samples=settings.bootstrap_samples, seed=settings.seed)
    drawn, drawn_primary = resamples.auc(theirs, up), resamples.auc(ours, up)
    value, value_primary = auc(theirs, up), auc(ours, up)
    return MemberFigures(
        algorithm=algorithm,
        horizon_hours=horizon,
        rows=both.height,
        auc=resamples.estimate(value, drawn),
        auc_minus_primary=resamples.estimate(value - value_primary, drawn - drawn_primary),
        log_loss=log_loss(theirs, up),
        log_loss_primary=log_loss(ours, up),
    )
