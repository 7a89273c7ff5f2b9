"""Jobs: the hourly run, training, and bringing the production bundle to this host.

Belongs here: which assets run together and in which executor. The hourly run stays in one process: one process per
step costs 12-21 s for ten trivial steps (measured). Training uses a process per step and the `training` pool.
"""

import dagster as dg

from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.models.algorithms import ALGORITHMS

HOURLY_ASSETS = [
    *STREAMS,
    "features",
    "consensus",
    "forecast",
    "shadow_forecast",
    "gate_verdict",
    "paper_account",
    "hourly_signal",
]
TRAINING_ASSETS = [
    "features",
    "labels",
    "lightgbm_model",
    "quantile_model",
    "regime_model",
    "candidate_bundle",
    "promotion_decision",
]
MODELS = [f"{algorithm}_model" for algorithm in ALGORITHMS]
EVERY_MODEL = list(dict.fromkeys((*TRAINING_ASSETS, *MODELS)))
PLAN_JOBS = {
    "plan_data": ("features", "labels"),
    "plan_base": (*MODELS, "quantile_model", "regime_model"),
    "plan_stacking": ("candidate_bundle",),
    "plan_onnx": ("bundle_check",),
    "plan_report": ("training_report",),
}
"""Stages of the training plan (h800/plan.yaml): job and its assets."""

_NO_RETRIES = {"dagster/max_retries": "0"}  # also where an instance switches run retries on; see `defs.failures`

hourly_job = dg.define_asset_job(
    "hourly",
    selection=dg.AssetSelection.assets(*HOURLY_ASSETS) | dg.AssetSelection.checks_for_assets(*STREAMS),
    executor_def=dg.in_process_executor,
    description="From the exchange to the signal of the newest hour, in one process.",
    tags=_NO_RETRIES,
)

training_job = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.assets(*TRAINING_ASSETS),
    executor_def=dg.multiprocess_executor.configured({"max_concurrent": 1, "start_method": {"forkserver": {}}}),
    config={"ops": {"features": {"config": {"rebuild": True}}}},
    description="Rebuild features and labels, train a candidate, decide about it.",
    tags=_NO_RETRIES,
)

full_training_job = dg.define_asset_job(
    "full_training",
    selection=dg.AssetSelection.assets(*EVERY_MODEL),
    executor_def=dg.multiprocess_executor.configured({"max_concurrent": 1, "start_method": {"forkserver": {}}}),
    config={"ops": {"features": {"config": {"rebuild": True}}}},
    description="As `training`, with the cross-asset model, both networks and the stack over all of them.",
    tags=_NO_RETRIES,
)

maintenance_job = dg.define_asset_job(
    "maintenance",
    selection=dg.AssetSelection.assets(
        "gap_ledger", "archive_recheck", "account_tear_sheet", "lake_maintenance", "run_retention"
    ),
    executor_def=dg.in_process_executor,
    description="Count the gap ledger, ask the archive for replaced files, draw the tear sheet, compact lake and runs.",
    tags={"dagster/max_retries": "0"},
)

production_job = dg.define_asset_job(
    "production",
    selection=dg.AssetSelection.assets("production_bundle"),
    executor_def=dg.in_process_executor,
    description="Bring the registry's production bundle to this host, verified.",
    tags=_NO_RETRIES,
)

plan_jobs = [
    dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        executor_def=dg.multi_or_in_process_executor,
        description=f"A stage of the training plan (eth-pipeline plan): {', '.join(assets)}.",
        tags=_NO_RETRIES,
    )
    for name, assets in PLAN_JOBS.items()
]
