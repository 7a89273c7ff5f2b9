"""Model plane, sizing: how wide the outcome may be, and in which state the market is.

Belongs here: training both on the pinned training set and keeping the outcome. Does not belong: what a quantile or
a state does to a position (`trading`).
"""

import dagster as dg

from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import new_folder, pinned_training_set
from eth_pipeline.defs.presentation import OWNERS, interval, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.models.sizing.quantile import train_quantiles
from eth_pipeline.models.sizing.regime import train_regime
from eth_pipeline.registry.bundles.sizing_parts import quantile_parts, regime_parts, save_sizing


@dg.asset(
    group_name=GROUP,
    deps=["features", "labels"],
    description=(
        "Quantiles of the forward return per horizon, for sizing: gradient-boosted trees in units of volatility, with "
        "conformal offsets from out-of-fold rows, judged by pinball loss and by what their intervals cover."
    ),
    kinds={"lightgbm", "onnx"},
    owners=OWNERS,
    code_version="1",
    pool="training",
)
def quantile_model(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Train, judge out of fold, export, keep."""
    pinned = pinned_training_set(pipeline)
    trained = train_quantiles(pinned.data, settings=pipeline.settings().training)
    digest = pinned.data.digest()
    folder = new_folder(context, pipeline, name="quantile")
    save_sizing(folder, quantile_parts(trained, pinned.data, training_digest=digest))
    skill = [
        (
            f"{h.horizon_hours} h",
            h.rows,
            interval(h.skill_over_unconditional, digits=3),
            interval(h.skill_over_volatility, digits=3),
        )
        for h in trained.report.horizons
    ]
    covered = [
        (f"{h.horizon_hours} h", f"{part.nominal:.0%}", interval(part.coverage, digits=3), part.mean_width_bps)
        for h in trained.report.horizons
        for part in h.intervals
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:16]),
        metadata={
            "folder": dg.MetadataValue.path(str(folder)),
            "skill": markdown_table(
                ("horizon", "rows", "loss saved over unconditional [95 %]", "over volatility-scaled [95 %]"), skill
            ),
            "coverage": markdown_table(("horizon", "interval", "covered [95 %]", "mean width, bps"), covered),
            "verdict": "; ".join(h.verdict for h in trained.report.horizons),
            "inputs": len(pinned.data.feature_names),
        },
    )


@dg.asset(
    group_name=GROUP,
    deps=["features", "labels"],
    description=(
        "The state of the market, calm, normal or stressed, from realised volatility known at the hour: a mixture "
        "fitted without labels, judged by how volatile the following day was."
    ),
    kinds={"scikitlearn", "onnx"},
    owners=OWNERS,
    code_version="1",
    pool="training",
)
def regime_model(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Fit, judge out of fold, export, keep."""
    pinned = pinned_training_set(pipeline)
    trained = train_regime(pinned.data, settings=pipeline.settings().training)
    digest = pinned.data.digest()
    folder = new_folder(context, pipeline, name="regime")
    save_sizing(folder, regime_parts(trained, pinned.data, training_digest=digest))
    states = [
        (s.state, s.share, s.mean_dwell_hours, interval(s.next_volatility, digits=5)) for s in trained.report.states
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:16]),
        metadata={
            "folder": dg.MetadataValue.path(str(folder)),
            "states": markdown_table(("state", "share", "mean stay, h", "volatility of the next 24 h [95 %]"), states),
            "explained": markdown_table(
                ("explained share of the next day's log volatility", "[95 %]"),
                [
                    ("by the states", interval(trained.report.explained_share, digits=3)),
                    ("by thirds of today's volatility", interval(trained.report.explained_by_thirds, digits=3)),
                ],
            ),
        },
    )
