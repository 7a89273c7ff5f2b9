"""One vintage as a task of a fan-out: a symbol, an algorithm and a month, trained by a Dagster run in a worker.

Belongs here: what a task is, what it does, whether it is done. Does not belong: which tasks there are and how they are
told (`vintages`), the workers (`fan_out`), training (the assets `model_vintage` and `other_vintage`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eth_pipeline.cli.training.symbol_home import settings_of

MONTH_FORMAT = "%Y-%m"


@dataclass(frozen=True)
class VintageTask:
    """One vintage, of one call of the command (`asked`)."""

    symbol: str
    algorithm: str
    month: str
    asked: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.symbol} {self.algorithm} {self.month}"

    @property
    def cutoff(self) -> datetime:
        """Begin of the month."""
        return datetime.strptime(self.month, MONTH_FORMAT).replace(tzinfo=UTC)

    def tags(self) -> dict[str, str]:
        """Of its run."""
        return {
            "eth_pipeline/fan_out": self.asked,
            "eth_pipeline/algorithm": self.algorithm,
            "eth_pipeline/month": self.month,
        }


def train_one(task: VintageTask) -> str:
    """One Dagster run of one vintage, in the home of its symbol; returns `trained` or `failed: why`."""
    import dagster as dg

    from eth_pipeline.definitions import defs
    from eth_pipeline.defs.instance import open_instance
    from eth_pipeline.defs.partitions import ALGORITHM, MONTH
    from eth_pipeline.models.algorithms import LIGHTGBM

    first = f"{task.month}-01"
    primary = task.algorithm == LIGHTGBM
    assets = ("model_vintage", "historical_forecasts") if primary else ("other_vintage",)
    partition = first if primary else dg.MultiPartitionKey({ALGORITHM: task.algorithm, MONTH: first})
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(name) for name in assets}
    )
    quiet: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with settings_of(task.symbol) as settings, open_instance(settings) as instance:
        _close_lost_runs(instance, task)
        result = job.execute_in_process(
            instance=instance, partition_key=partition, run_config=quiet, tags=task.tags(), raise_on_error=False
        )
    if result.success:
        return "trained"
    reasons = [
        event.step_failure_data.error.cause.message if event.step_failure_data.error.cause else str(event.message)
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error is not None
    ]
    return f"failed: {reasons[0].strip() if reasons else 'see the run'} (run {result.run_id})"


def is_done(task: VintageTask) -> bool:
    """True where a vintage is there that the running code can ask."""
    from eth_pipeline.errors import ContractViolation
    from eth_pipeline.registry.runs.vintages import load_vintage, vintage_folder
    from eth_pipeline.signals.forecasting.bundle_in_use import running_schema

    with settings_of(task.symbol) as settings:
        folder = vintage_folder(settings.home, algorithm=task.algorithm, cutoff=task.cutoff)
        try:
            load_vintage(folder, feature_schema=running_schema(settings))
        except ContractViolation:
            return False
    return True


def _close_lost_runs(instance: Any, task: VintageTask) -> None:
    """A worker that died under this vintage left its run behind as started; this try takes its place."""
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    left = dg.RunsFilter(tags=task.tags(), statuses=unfinished)
    for run in instance.get_runs(left):
        instance.report_run_canceled(run, message="Its worker was lost; another worker trains this month again.")
