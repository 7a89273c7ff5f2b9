"""Running a plan: stage by stage, skipping what is finished, bounded, remembered, taken up again.

Belongs here: the order, the limits, the record, the progress lines. Does not belong: what a stage makes (`defs`), what
is finished (`defs.plan_work`), the child's end (`cli.plan_stage`).
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from eth_pipeline.cli.console import err
from eth_pipeline.contracts.clock import Clock, iso
from eth_pipeline.definitions import defs
from eth_pipeline.defs.assets.training_plan import COMPARISON_JSON, COMPARISON_MARKDOWN
from eth_pipeline.defs.assets.training_set import newest_folder
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
    stage_work,
    steps_done,
)
from eth_pipeline.lake import Lake
from eth_pipeline.operations.plan.child import Bounds, Ended, run_bounded
from eth_pipeline.operations.plan.spec import PlanSpec
from eth_pipeline.operations.plan.state import (
    FINISHED,
    PlanState,
    StageRecord,
    last_record,
    only_plan,
    save_state,
    stored_states,
    unfinished,
)
from eth_pipeline.operations.plan.summary import state_json, state_markdown
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.settings import Settings

SUMMARY_MARKDOWN, SUMMARY_JSON = "summary.md", "summary.json"


@dataclass(frozen=True)
class Asked:
    """What a plan was asked for."""

    target: str
    scale: str
    symbol: str
    timeframe: str


@dataclass(frozen=True)
class StageOutlook:
    """What would happen to one stage now."""

    stage: str
    runs: bool
    assets: tuple[str, ...]
    why: str


def outlook(spec: PlanSpec, asked: Asked, *, settings: Settings) -> list[StageOutlook]:
    """What a run would do now, stage by stage; nothing is changed by asking."""
    found: list[StageOutlook] = []
    states = stored_states(settings.home)
    with open_instance(settings) as instance:
        for name in spec.selected(asked.target):
            work = _work(spec, name, instance, settings)
            again = {each.stage for each in found if each.runs} & set(spec.stages[name].needs)
            if again:
                every = (*work.finished, *work.open)
                found.append(StageOutlook(name, True, every, f"{', '.join(sorted(again))} runs before it"))
                continue
            why = why_of(work, last_record(states, name))
            found.append(StageOutlook(name, bool(work.open), work.open, why))
    return found


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
        state = _begin(spec, asked, home=settings.home, clock=clock)
        runner = _Runner(spec, asked, settings, instance, lock)
        try:
            state = _stages(runner, state)
        except BaseException:
            _end(runner, state := _interrupted(state, runner), "interrupted", clock=clock)
            raise
        failed = any(state.stages[name].outcome not in FINISHED for name in spec.selected(asked.target))
        return _end(runner, state, "failed" if failed else "done", clock=clock)


def why_of(work: StageWork, before: StageRecord | None) -> str:
    """Why a stage runs or does not, for people."""
    if not work.open:
        return "finished before, on the same inputs"
    if before is None:
        return "never run here"
    changed = [
        f"{name} changed ({before.inputs.get(name, 'absent')} to {work.inputs.get(name, 'absent')})"
        for name in sorted({*before.inputs, *work.inputs})
        if before.inputs.get(name) != work.inputs.get(name)
    ]
    if changed:
        return "; ".join(changed)
    if work.finished:
        return f"{len(work.finished)} of {len(work.finished) + len(work.open)} assets were finished before it stopped"
    return "nothing of it was finished, or it was made again by another run since"


@dataclass
class _Runner:
    spec: PlanSpec
    asked: Asked
    settings: Settings
    instance: dg.DagsterInstance
    lock: int

    def one(self, state: PlanState, name: str, save: Callable[[StageRecord], None]) -> StageRecord:
        """Bring one stage up to date."""
        work = _work(self.spec, name, self.instance, self.settings)
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
            ended = self._child(state, name, work)
            work, asked = _work(self.spec, name, self.instance, self.settings), work.open
            record = self._told(record, state, name, ended, made=tuple(a for a in asked if a in work.finished))
            if not work.open:
                return record.model_copy(update={"outcome": "done"})
            why = self._failure(record, ended, log=self.folder(state) / f"{name}.log")
            _say(name, f"failed: {why}")
            if ended.limit is not None:
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

    def folder(self, state: PlanState) -> Path:
        return save_state(self.settings.home, state)


@dataclass
class _Progress:
    """A line for every step that ends; asks the instance's storage, so it works for any executor."""

    instance: dg.DagsterInstance
    plan_id: str
    stage: str
    steps: int
    earlier: list[str]
    looks: int = 0
    told: int = 0

    def __call__(self) -> None:
        """Look every second or so."""
        self.looks += 1
        if self.looks % 4:
            return
        for run in runs_of(self.instance, plan_id=self.plan_id, stage=self.stage)[len(self.earlier) :]:
            done = steps_done(self.instance, run)
            for step, seconds in list(done.items())[self.told :]:
                self.told += 1
                _say(self.stage, f"{self.told}/{self.steps} {step}, {seconds:.1f} s")


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


def _work(spec: PlanSpec, name: str, instance: dg.DagsterInstance, settings: Settings) -> StageWork:
    return stage_work(
        spec.stages[name].job,
        instance=instance,
        graph=defs.resolve_asset_graph(),
        settings=settings,
        lake=Lake.of(settings),
    )


def _begin(spec: PlanSpec, asked: Asked, *, home: Path, clock: Clock) -> PlanState:
    """The plan that was not finished, taken up again; or a new one."""
    now, states = clock.now(), stored_states(home)
    before = unfinished(states, target=asked.target, scale=asked.scale, symbol=asked.symbol, timeframe=asked.timeframe)
    known = before.stages if before is not None else {}
    waiting = {
        name: known.get(name, StageRecord()).model_copy(update={"outcome": "waiting"})
        for name in spec.selected(asked.target)
    }
    if before is not None:
        state = before.model_copy(
            update={"outcome": "running", "ended_at": None, "starts": before.starts + 1, "stages": waiting}
        )
        _say("plan", f"{state.plan_id} is taken up again")
        return state
    name = f"{iso(now).replace(':', '')}-{asked.target}-{asked.scale}"
    taken = {state.plan_id for state in states}
    plan_id = next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)
    state = PlanState(
        plan_id=plan_id,
        target=asked.target,
        scale=asked.scale,
        symbol=asked.symbol,
        timeframe=asked.timeframe,
        started_at=now,
        stages=waiting,
    )
    save_state(home, state)
    _say("plan", plan_id)
    return state


def _interrupted(state: PlanState, runner: _Runner) -> PlanState:
    close_dead_runs(runner.instance)
    newest = next((s for s in stored_states(runner.settings.home) if s.plan_id == state.plan_id), state)
    for name, record in newest.stages.items():
        if record.outcome == "running":
            newest = newest.with_stage(name, record.model_copy(update={"outcome": "interrupted"}))
    return newest


def _end(runner: _Runner, state: PlanState, outcome: str, *, clock: Clock) -> PlanState:
    state = PlanState.model_validate(state.model_dump() | {"outcome": outcome, "ended_at": clock.now()})
    folder = save_state(runner.settings.home, state)
    markdown, figures = _comparison(runner, state)
    replace_text(folder / SUMMARY_MARKDOWN, state_markdown(state, comparison=markdown))
    replace_text(folder / SUMMARY_JSON, json.dumps(state_json(state, comparison=figures), indent=2) + "\n")
    return state


def _comparison(runner: _Runner, state: PlanState) -> tuple[str | None, dict[str, Any] | None]:
    """The newest comparison, where this plan vouches for it: its report is made, or was there on the same inputs."""
    made = any(
        record.outcome in FINISHED and runner.spec.stages[name].job == "plan_report"
        for name, record in state.stages.items()
    )
    folder = newest_folder(runner.instance, "training_report") if made else None
    if folder is None:
        return None, None
    text = (folder / COMPARISON_MARKDOWN).read_text(encoding="utf-8")
    return text, json.loads((folder / COMPARISON_JSON).read_text(encoding="utf-8"))


def _say(subject: str, text: str) -> None:
    err.print(f"[{subject}] {text}", highlight=False, markup=False, soft_wrap=True)
