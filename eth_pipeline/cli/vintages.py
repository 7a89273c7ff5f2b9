"""`vintages`: train the models of past months, and let them forecast those months.

Belongs here: which months, where, output. Does not belong: training (the assets `model_vintage` and
`historical_forecasts`), the workers (`cli.fan_out`). Every month is a Dagster run of its own in a worker process, so a
month that fails costs a month, and a rerun goes on with the months that are missing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.table import Table

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.fan_out import Workers, fan_out
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.settings import Settings, load_settings

app = typer.Typer(help="Models as they could have been trained in past months.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MONTH = "%Y-%m"


@dataclass(frozen=True)
class _Training:
    """One month, of one call of the command."""

    month: str
    asked: str

    def tags(self) -> dict[str, str]:
        return {"eth_pipeline/fan_out": self.asked, "eth_pipeline/month": self.month}


@app.command("train")
def train(
    first: Annotated[str, typer.Option("--from", help="First month, for example 2024-01.")],
    last: Annotated[str, typer.Option("--to", help="Last month, included.")],
    workers: Annotated[int, typer.Option(min=1, help="Months trained at the same time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Scheduler of a running cluster, instead of workers here: tls://HOST:PORT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train months again that have a vintage.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the vintages of a range of months and store what they forecast; months that are done are skipped."""
    with refuse_on_error():
        settings = load_settings()
        asked = months(first, last)
        wanted = asked if force else [month for month in asked if not _is_done(settings, month)]
        outcomes = dict.fromkeys(asked, "was there") | _run(wanted, workers=Workers(count=workers, cluster=cluster))
        if not as_json:
            out.print(_table(settings, outcomes))
        else:
            print_json([{"month": month, "outcome": outcome} for month, outcome in outcomes.items()])
        failed = {month: text for month, text in outcomes.items() if text.startswith("failed")}
        if failed:
            month, text = next(iter(failed.items()))
            raise NeedsHuman(f"{len(failed)} of {len(asked)} months failed, first {month}: {text}")


@app.command("list")
def list_vintages(as_json: AsJson = False) -> None:
    """Show the vintages of this home."""
    with refuse_on_error():
        from eth_pipeline.registry.vintages import RECORD, VintageRecord

        folder = load_settings().home / "vintages"
        records = [
            VintageRecord.model_validate_json(path.read_bytes()) for path in sorted(folder.glob(f"*/*/{RECORD}"))
        ]
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    table = Table(title="Vintages", title_justify="left")
    for name in ("algorithm", "month", "trained until", "rows (shortest horizon)", "commit"):
        table.add_column(name)
    for record in records:
        rows = record.rows[min(record.rows)]
        until = f"{record.trained_until:%Y-%m-%d %H:%M}"
        table.add_row(record.algorithm, f"{record.cutoff:%Y-%m}", until, f"{rows:,}", record.code_commit[:12])
    out.print(table)


def months(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, as `2024-01`.

    Raises:
        SettingsInvalid: not months, or the wrong way round.
    """
    try:
        begin, end = (datetime.strptime(text, _MONTH).replace(tzinfo=UTC) for text in (first, last))
    except ValueError as error:
        raise SettingsInvalid(f"{error}. Write months as 2024-01.") from error
    if end < begin:
        raise SettingsInvalid(f"The range {first} to {last} is empty. Give the earlier month first.")
    count = (end.year - begin.year) * 12 + end.month - begin.month
    numbers = [begin.year * 12 + begin.month - 1 + step for step in range(count + 1)]
    return [f"{number // 12}-{number % 12 + 1:02d}" for number in numbers]


def _run(wanted: list[str], *, workers: Workers) -> dict[str, str]:
    """Outcome of every month."""
    outcomes: dict[str, str] = {}
    asked = uuid4().hex
    tasks = [_Training(month, asked) for month in wanted]
    for done, finished in enumerate(fan_out(_materialize, tasks, workers=workers), start=1):
        month = finished.task.month
        outcomes[month] = finished.result or f"failed: {finished.error}"
        err.print(f"{done}/{len(wanted)} {month}: {outcomes[month]}", highlight=False, markup=False)
    return outcomes


def _materialize(training: _Training) -> str:
    """One Dagster run of one month; returns `trained` or `failed: why`."""
    import dagster as dg

    from eth_pipeline.definitions import defs
    from eth_pipeline.defs.instance import open_instance

    wanted = {dg.AssetKey("model_vintage"), dg.AssetKey("historical_forecasts")}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=wanted)
    quiet: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with open_instance(load_settings()) as instance:
        _close_lost_runs(instance, training)
        result = job.execute_in_process(
            instance=instance,
            partition_key=f"{training.month}-01",
            run_config=quiet,
            tags=training.tags(),
            raise_on_error=False,
        )
    if result.success:
        return "trained"
    reasons = [
        event.step_failure_data.error.cause.message if event.step_failure_data.error.cause else str(event.message)
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error is not None
    ]
    return f"failed: {reasons[0].strip() if reasons else 'see the run'} (run {result.run_id})"


def _close_lost_runs(instance: Any, training: _Training) -> None:
    """A worker that died under this month left its run behind as started; this try takes its place."""
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    left = dg.RunsFilter(tags=training.tags(), statuses=unfinished)
    for run in instance.get_runs(left):
        instance.report_run_canceled(run, message="Its worker was lost; another worker trains this month again.")


def _is_done(settings: Settings, month: str) -> bool:
    from eth_pipeline.errors import ContractViolation
    from eth_pipeline.models.algorithms import LIGHTGBM
    from eth_pipeline.registry.vintages import load_vintage, vintage_folder
    from eth_pipeline.signals.bundle_in_use import running_schema

    cutoff = datetime.strptime(month, _MONTH).replace(tzinfo=UTC)
    folder = vintage_folder(settings.home, algorithm=LIGHTGBM, cutoff=cutoff)
    try:
        load_vintage(folder, feature_schema=running_schema(settings))
    except ContractViolation:
        return False
    return True


def _table(settings: Settings, outcomes: dict[str, str]) -> Table:
    from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
    from eth_pipeline.lake import Lake

    stored = Lake.of(settings).read(HISTORICAL_FORECASTS, columns=["decision_time", "horizon_hours"])
    counted = dict(stored.group_by(stored["decision_time"].dt.strftime(_MONTH)).len().rows())
    table = Table(title="Vintages", title_justify="left")
    for name in ("month", "outcome", "forecasts stored"):
        table.add_column(name, overflow="fold")
    for month, outcome in outcomes.items():
        table.add_row(month, outcome, f"{counted.get(month, 0):,}")
    return table
