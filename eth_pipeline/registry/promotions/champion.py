"""The paired comparison of a candidate with the champion, on the hours that taught neither.

Belongs here: finding the common rows and the difference with its interval. Does not belong: the threshold
(`gates`).
"""

import polars as pl

from eth_pipeline.contracts.model_tables import OOF_FORECASTS
from eth_pipeline.lake import Lake
from eth_pipeline.models.figures.bootstrap import WeeklyResamples
from eth_pipeline.models.figures.metrics import auc
from eth_pipeline.models.figures.report import Estimate

_COMMON_ROWS = 1000


def store_oof(lake: Lake, oof: pl.DataFrame, *, fingerprint: str, symbol: str, provenance: str) -> int | None:
    """Keep a candidate's out-of-fold forecasts for later comparisons; returns the table version."""
    rows = oof.with_columns(
        fingerprint=pl.lit(fingerprint),
        symbol=pl.lit(symbol),
        provenance=pl.lit(provenance),
        forward_return=pl.col("forward_return").fill_nan(None),
    ).select(list(OOF_FORECASTS.schema))
    return lake.upsert(OOF_FORECASTS, rows).version


def compare(
    lake: Lake, *, symbol: str, candidate: str, champion: str, horizon_hours: int, samples: int, seed: int
) -> Estimate | None:
    """Sign AUC of the candidate minus the champion's on the same hours, with a weekly-block-bootstrap interval.

    Args:
        symbol: the traded symbol; forecasts of another one are not comparable.
        candidate: fingerprint of the candidate's bundle.
        champion: fingerprint of the bundle in production.
        horizon_hours: the horizon compared.
        samples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        None where fewer than 1,000 hours are common to both, which counts as not compared.
    """
    rows = lake.read(
        OOF_FORECASTS,
        where=pl.col("fingerprint").is_in([candidate, champion])
        & (pl.col("symbol") == symbol)
        & (pl.col("horizon_hours") == horizon_hours),
    )
    ours, theirs = (rows.filter(pl.col("fingerprint") == name) for name in (candidate, champion))
    both = ours.join(theirs, on="decision_time", suffix="_champion").filter(pl.col("up").is_not_null())
    if both.height < _COMMON_ROWS:
        return None
    both = both.sort("decision_time")
    up = both["up"].cast(pl.Float64).to_numpy()
    scores = [both[name].to_numpy() for name in ("probability", "probability_champion")]
    times = both["decision_time"].dt.replace_time_zone(None).to_numpy()
    resamples = WeeklyResamples.of(times, samples=samples, seed=seed)
    drawn = resamples.auc(scores[0], up) - resamples.auc(scores[1], up)
    return resamples.estimate(auc(scores[0], up) - auc(scores[1], up), drawn)
