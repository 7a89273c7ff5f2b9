"""`eth-pipeline demo`: the whole way from exchange to signal on the embedded exchange, as real Dagster runs.

Belongs here: the order of the runs and what is shown after each. Does not belong: any step itself.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from eth_pipeline.cli.console import err, out
from eth_pipeline.cli.market import MarketPlan
from eth_pipeline.cli.processes import ProcessGroup, answers, free_port
from eth_pipeline.cli.tables import decision_table, evaluation_table, signal_table
from eth_pipeline.contracts.artifact import DECISION, PromotionDecision
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.settings import Settings, load_settings


@dataclass(frozen=True)
class DemoPlan:
    """Where the demo writes and which market it reads."""

    home: Path
    market: MarketPlan

    @classmethod
    def make(
        cls, *, home: Path, replay: Path | None, as_of: str | None, strength: float, seed: int, years: float
    ) -> "DemoPlan":
        """Check the options; see `MarketPlan.make`.

        Raises:
            NeedsHuman: the home holds another market's data.
        """
        market = MarketPlan.make(replay=replay, as_of=as_of, strength=strength, seed=seed, years=years)
        before = MarketPlan.load(home)
        if before is not None and before != market:
            raise NeedsHuman(
                f"{home} holds the demo of another market ({before}). Name another --home, or remove that folder."
            )
        return cls(home=home.resolve(), market=market)


def run_demo(plan: DemoPlan) -> None:
    """Run it all; the signal's table is the last thing on screen.

    Raises:
        NeedsHuman: a run failed; its own message says why.
    """
    started = time.monotonic()
    plan.market.save(plan.home)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    os.environ.update(plan.market.environment(home=plan.home, url=url))
    command = [sys.executable, "-m", "eth_pipeline", "sandbox", "serve", "--port", str(port), "--clock-speed", "0"]
    with ProcessGroup(logs=plan.home / "logs", environment={}) as group:
        group.start("sandbox", [*command, *plan.market.serve_arguments()])
        group.wait_until("sandbox", lambda: answers(f"{url}/sandbox/health"), timeout_seconds=120)
        settings = load_settings()
        _show_runs(settings, plan)
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    out.print(
        f"\nDone in {minutes} min {seconds:02d} s. Look at it: [bold]eth-pipeline up --home {_short(plan.home)}[/]"
    )


def _show_runs(settings: Settings, plan: DemoPlan) -> None:
    from eth_pipeline.cli.signals import newest_record
    from eth_pipeline.contracts.tables import STREAMS
    from eth_pipeline.definitions import defs
    from eth_pipeline.defs.assets.candidate import newest_candidate
    from eth_pipeline.defs.jobs import HOURLY_ASSETS, TRAINING_ASSETS
    from eth_pipeline.registry.bundles.verification import read_report

    kind = "recorded" if plan.market.replay else "synthetic"
    out.print(f"[bold]eth_pipeline demo[/]: {kind} market as of {iso(plan.market.as_of)}, home {_short(plan.home)}")
    with open_instance(settings) as instance:
        run = _Runner(instance=instance, definitions=defs)
        run("ingest from the exchange", list(STREAMS))
        run("features, labels, training, decision", TRAINING_ASSETS, rebuild=True)
        out.print(evaluation_table(read_report(newest_candidate(instance)), language=settings.language))
        decision = PromotionDecision.model_validate_json((newest_candidate(instance) / DECISION).read_bytes())
        out.print(decision_table(decision, language=settings.language))
        if decision.promoted:
            run("production bundle, verified", ["production_bundle"])
        else:
            out.print("[yellow]Not promoted: the signal goes on without a model, and says so.[/]")
        run("the newest hour", HOURLY_ASSETS, rebuild=False)
    record = newest_record(settings)
    out.print(signal_table(record, language=settings.language))
    _require_usable(record)


def _require_usable(record: SignalRecord) -> None:
    if record.state == "blocked":
        raise NeedsHuman(f"The newest hour is blocked: {record.gating_reason}")


@dataclass(frozen=True)
class _Runner:
    """Materializes assets as one in-process run of the home's instance, with a progress bar over its steps."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def __call__(self, title: str, assets: list[str], *, rebuild: bool | None = None) -> None:
        job = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(name) for name in assets}
        )
        config: dict[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        if rebuild is not None:
            config["ops"] = {"features": {"config": {"rebuild": rebuild}}}
        run_id = dg._core.utils.make_new_run_id()
        with _bar() as progress:
            task = progress.add_task(title, total=len(job.all_node_defs))

            def on_event(entry: dg.EventLogEntry) -> None:
                event = entry.dagster_event
                if event is not None and event.is_step_start:
                    progress.update(task, description=f"{title}: {event.step_key}")
                if event is not None and (event.is_step_success or event.is_step_failure):
                    progress.advance(task)

            self.instance.add_event_listener(run_id, on_event)
            result = job.execute_in_process(
                instance=self.instance, run_id=run_id, run_config=config, raise_on_error=False
            )
            progress.update(task, description=title)
        if not result.success:
            raise NeedsHuman(_failure(result, title))


def _failure(result: dg.ExecuteInProcessResult, title: str) -> str:
    lines = [f"Run {result.run_id} ({title}) failed:"]
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            failure = event.step_failure_data
            text = failure.user_failure_data.description if failure.user_failure_data else failure.error_display_string
            lines.append(f"  {event.step_key}: {text}")
    return "\n".join(lines)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
