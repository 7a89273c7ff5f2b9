"""What of a plan's stage is finished, on which inputs; read from the materializations, not from a memory of its own.

Belongs here: identity of inputs, finished assets, runs that died. Does not belong: starting a run (`cli.plan.stage`),
the order of stages (`cli.plan.runner`).

An asset is finished where its newest materialization came from a run of a plan that carried the digest of exactly these
inputs, and what it made is still there. So whatever was interrupted, whoever interrupted it: what had been stored
before is found, and what had not is made again.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.jobs import PLAN_JOBS
from eth_pipeline.features.catalogue import features_contract
from eth_pipeline.labels.direction import labels_contract
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import code_version, lock_digest
from eth_pipeline.settings import Settings

PLAN_TAG, STAGE_TAG, INPUTS_TAG = "eth_pipeline/plan", "eth_pipeline/stage", "eth_pipeline/plan_inputs"
ABSENT = "absent"
_SHORT = 16
_TRAINING_FIELDS = frozenset(
    {"symbol", "cross_symbols", "base_interval", "history_start", "training", "networks", "gates", "lake_url"}
)
_LIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class StageWork:
    """A stage as it stands.

    Attributes:
        inputs: what it depends on from outside: settings, code, environment and every upstream asset, to its identity.
        finished: its assets that were made from exactly these inputs, to the run that made them.
        open: its assets that have to be made.
    """

    inputs: dict[str, str]
    finished: dict[str, str]
    open: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 of the inputs; the runs that work on them carry it as a tag."""
        return hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()


def stage_work(
    job: str, *, instance: dg.DagsterInstance, graph: AssetGraph, settings: Settings, lake: Lake
) -> StageWork:
    """How far the stage of `job` is.

    Args:
        job: one of `PLAN_JOBS`.
        instance: whose materializations are read.
        graph: of the definitions; what an asset reads is what it depends on.
        settings: of the stage, overrides included.
        lake: whose table versions are inputs.
    """
    assets = PLAN_JOBS[job]
    outside = {
        parent.to_user_string()
        for name in assets
        for parent in graph.get(dg.AssetKey(name)).parent_keys
        if parent.to_user_string() not in assets
    }
    tables = _tables(settings)
    inputs = {
        "settings": _digest(settings.model_dump(mode="json", include=set(_TRAINING_FIELDS))),
        "code": code_version().files_digest[:_SHORT],
        "environment": lock_digest()[:_SHORT],
        **{name: _identity(name, instance=instance, lake=lake, tables=tables) for name in sorted(outside)},
    }
    work = StageWork(inputs, {}, assets)
    made = {name: _made_by(instance, name, digest=work.digest) for name in assets}
    finished = {name: run for name, run in made.items() if run is not None}
    return StageWork(inputs, finished, tuple(name for name in assets if name not in finished))


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark what an interrupted plan left as started, free its places in the pools; returns the runs.

    Only for who holds the lock of the plans: then no run of a plan can be alive. Without this a run that was killed
    would hold its place in the pool `gpu` for ever, and the next one would wait for it.
    """
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=_LIVE)) if PLAN_TAG in run.tags]
    for run in dead:
        instance.report_run_failed(run, "The plan's process was interrupted; the plan takes it up again.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def set_pools(instance: dg.DagsterInstance, pools: dict[str, int]) -> None:
    """Let so many steps of each pool run at a time, in this plan and beside it."""
    for name, limit in pools.items():
        instance.event_log_storage.set_concurrency_slots(name, limit)


def runs_of(instance: dg.DagsterInstance, *, plan_id: str, stage: str) -> list[str]:
    """Runs of one stage of one plan, oldest first."""
    found = instance.get_runs(dg.RunsFilter(tags={PLAN_TAG: plan_id, STAGE_TAG: stage}))
    return [run.run_id for run in reversed(found)]


def steps_done(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    """Steps of a run that succeeded, to the seconds they took."""
    stats = instance.get_run_step_stats(run_id)
    return {
        each.step_key: each.end_time - each.start_time
        for each in stats
        if each.status is not None and each.status.value == "SUCCESS" and each.end_time and each.start_time
    }


def failure_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Why the first failed step of a run failed; None where none did."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            text = (error.cause or error).message.strip()
            return f"{event.step_key}: {text}"
    return None


def _tables(settings: Settings) -> dict[str, TableContract]:
    return {
        **STREAMS,
        "features": features_contract(symbol=settings.symbol, cross_symbols=settings.cross_symbols),
        "labels": labels_contract(horizons_hours=settings.training.horizons_hours),
    }


def _identity(name: str, *, instance: dg.DagsterInstance, lake: Lake, tables: dict[str, TableContract]) -> str:
    """A table is its version in the lake, which a snapshot carries too; anything else the run that made it newest."""
    if name in tables:
        version = lake.version(tables[name])
        return ABSENT if version is None else f"version {version}"
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    return ABSENT if event is None else f"run {event.run_id[:8]}"


def _made_by(instance: dg.DagsterInstance, name: str, *, digest: str) -> str | None:
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    if event is None or event.asset_materialization is None:
        return None
    run = instance.get_run_by_id(event.run_id)
    if run is None or run.tags.get(INPUTS_TAG) != digest:
        return None
    folder = event.asset_materialization.metadata.get("folder")
    return event.run_id if folder is None or Path(str(folder.value)).is_dir() else None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_SHORT]
