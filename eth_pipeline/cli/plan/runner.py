"""Running a plan: stage by stage, skipping what is finished, bounded, remembered, taken up again.

Belongs here: the order, the limits, the progress lines. Does not belong: what a stage makes (`defs`), what is finished
(`defs.plan_work`) and why (`outlook`), the record (`record`), the child's end (`stage`).
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from eth_pipeline.cli.console import err
from eth_pipeline.cli.plan.outlook import Asked, why_of, work_of
from eth_pipeline.cli.plan.record import begun, ended, interrupted
from eth_pipeline.contracts.clock import Clock
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.plan_work import (
    INPUTS_TAG,
    PLAN_TAG,
    STAGE_TAG,
    StageWork,
    close_dead_runs,
    failure_of,
    runs_of,
    set_pools,
    steps_done,
)
from eth_pipeline.operations.plan.child import Bounds, Ended, run_bounded
from eth_pipeline.operations.plan.spec import PlanSpec
from eth_pipeline.operations.plan.state import (
    FINISHED,
    PlanState,
    StageRecord,
    last_record,
    only_plan,
    plans_folder,
    save_state,
    stored_states,
)
from eth_pipeline.settings import Settings


def run_plan(spec: PlanSpec, asked: Asked, *, settings: Settings, clock: Clock) -> PlanState:
    """Run, or take up again, what was asked for; returns how it ended.

    Raises:
        PlanRunning: another plan runs in this home.
        KeyboardInterrupt: somebody stopped it; what was finished stays finished.
    """
    with only_plan(settings.home) as lock, open_instance(settings) as instance:
        for run_id in close_dead_runs(instance):
            err.print(f"closed run {run_id[:8]} of an interrupted plan", highlight=False)
        set_pools(instance, spec.pools)
        state = begun(spec, asked, home=settings.home, clock=clock)
        _say("plan", state.plan_id if state.starts == 1 else f"{state.plan_id} is taken up again")
        runner = _Runner(spec, asked, settings, instance, lock)
        try:
            state = _stages(runner, state)
        except BaseException:
            runner.end(interrupted(state, instance=instance, home=settings.home), "interrupted", clock=clock)
            raise
        failed = any(state.stages[name].outcome not in FINISHED for name in spec.selected(asked.target))
        return runner.end(state, "failed" if failed else "done", clock=clock)


@dataclass
class _Runner:
    spec: PlanSpec
    asked: Asked
    settings: Settings
    instance: dg.DagsterInstance
    lock: int

    def one(self, state: PlanState, name: str, save: Callable[[StageRecord], None]) -> StageRecord:
        """Bring one stage up to date."""
        work = work_of(self.spec, name, self.instance, self.settings)
        why = why_of(work, last_record(stored_states(self.settings.home), name))
        record = StageRecord(why=why, inputs=work.inputs, digest=work.digest, kept=tuple(work.finished))
        if not work.open:
            _say(name, f"skipped: {why}")
            return record.model_copy(
                update={"outcome": "skipped", "run_ids": tuple(dict.fromkeys(work.finished.values()))}
            )
        stage = self.spec.stages[name]
        for attempt in range(stage.retries + 1):
            _say(name, f"{'again' if attempt else 'runs'}: {', '.join(work.open)} ({why})")
            save(record := record.model_copy(update={"outcome": "running"}))
            done = self._child(state, name, work)
            work, asked = work_of(self.spec, name, self.instance, self.settings), work.open
            record = self._told(record, state, name, done, made=tuple(a for a in asked if a in work.finished))
            if not work.open:
                return record.model_copy(update={"outcome": "done"})
            why = self._failure(record, done, log=self.folder(state) / f"{name}.log")
            _say(name, f"failed: {why}")
            if done.limit is not None:
                break
        return record.model_copy(update={"outcome": "failed", "why": why})

    def _child(self, state: PlanState, name: str, work: StageWork) -> Ended:
        stage, scale = self.spec.stages[name], self.spec.scale(self.asked.scale)
        tags = {
            PLAN_TAG: state.plan_id,
            STAGE_TAG: name,
            INPUTS_TAG: work.digest,
            "eth_pipeline/scale": self.asked.scale,
        }
        earlier = runs_of(self.instance, plan_id=state.plan_id, stage=name)
        command = [sys.executable, "-m", "eth_pipeline", "plan", "stage", stage.job]
        command += ["--assets", ",".join(work.open), "--tags", json.dumps(tags)]
        return run_bounded(
            [*command, "--steps-at-once", str(scale.steps_at_once)],
            bounds=Bounds(seconds=stage.timeout_minutes * 60, memory_bytes=stage.memory_gigabytes * 1e9),
            log=self.folder(state) / f"{name}.log",
            environment={},
            inherited=(self.lock,),
            looked=_Progress(self.instance, plan_id=state.plan_id, stage=name, steps=len(work.open), earlier=earlier),
        )

    def _told(
        self, record: StageRecord, state: PlanState, name: str, ended: Ended, *, made: tuple[str, ...]
    ) -> StageRecord:
        return record.model_copy(
            update={
                "run_ids": tuple(runs_of(self.instance, plan_id=state.plan_id, stage=name)),
                "made": (*record.made, *made),
                "seconds": round(record.seconds + ended.seconds, 2),
                "peak_memory_megabytes": max(record.peak_memory_megabytes, round(ended.peak_memory_megabytes, 1)),
            }
        )

    def _failure(self, record: StageRecord, ended: Ended, *, log: Path) -> str:
        close_dead_runs(self.instance)
        if ended.limit is not None:
            return f"stopped, {ended.limit}. Raise the limit in the plan, or choose a smaller scale."
        found = failure_of(self.instance, record.run_ids[-1]) if record.run_ids else None
        return found or f"its process ended with {ended.exit_code}; see {log}"

    def end(self, state: PlanState, outcome: str, *, clock: Clock) -> PlanState:
        """Write down how the plan ended."""
        home = self.settings.home
        return ended(state, outcome, spec=self.spec, instance=self.instance, home=home, clock=clock)

    def folder(self, state: PlanState) -> Path:
        return plans_folder(self.settings.home) / state.plan_id


@dataclass
class _Progress:
    """A line for every step that ends; asks the instance's storage, so it works for any executor."""

    instance: dg.DagsterInstance
    plan_id: str
    stage: str
    steps: int
    earlier: list[str]
    looks: int = 0
    told: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self) -> None:
        """Look every second or so."""
        self.looks += 1
        if self.looks % 4:
            return
        for run in runs_of(self.instance, plan_id=self.plan_id, stage=self.stage)[len(self.earlier) :]:
            for step, seconds in steps_done(self.instance, run).items():  # in an order that changes as more are done
                if (run, step) not in self.told:
                    self.told.add((run, step))
                    _say(self.stage, f"{len(self.told)}/{self.steps} {step}, {seconds:.1f} s")


def _stages(runner: _Runner, state: PlanState) -> PlanState:
    for name in runner.spec.selected(runner.asked.target):
        broken = [n for n in runner.spec.stages[name].needs if state.stages[n].outcome not in FINISHED]
        if broken:
            record = state.stages[name].model_copy(update={"why": f"waits for {', '.join(broken)}"})
            state = state.with_stage(name, record)
            continue

        def save(record: StageRecord, *, name: str = name, before: PlanState = state) -> None:
            save_state(runner.settings.home, before.with_stage(name, record))

        state = state.with_stage(name, runner.one(state, name, save))
        save_state(runner.settings.home, state)
        record = state.stages[name]
        if record.outcome == "done":
            _say(name, f"done in {record.seconds:.1f} s, {record.peak_memory_megabytes:,.0f} MB at most")
    return state


def _say(subject: str, text: str) -> None:
    err.print(f"[{subject}] {text}", highlight=False, markup=False, soft_wrap=True)
