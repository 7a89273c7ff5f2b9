"""The record of a plan run, from its start over an interruption to its summary.

Belongs here: taking up the one that was not finished, closing one, writing what a person reads. Does not belong: the
shape of the record (`operations.plan.state`), the order of stages (`runner`).
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg

from eth_pipeline.cli.plan.outlook import Asked
from eth_pipeline.contracts.clock import Clock, iso
from eth_pipeline.defs.assets.training_plan import COMPARISON_JSON, COMPARISON_MARKDOWN
from eth_pipeline.defs.assets.training_set import newest_folder
from eth_pipeline.defs.plan_work import close_dead_runs
from eth_pipeline.operations.plan.spec import PlanSpec
from eth_pipeline.operations.plan.state import (
    FINISHED,
    PlanState,
    StageRecord,
    save_state,
    stored_states,
    unfinished,
)
from eth_pipeline.operations.plan.summary import state_json, state_markdown
from eth_pipeline.registry.atomic import replace_text

SUMMARY_MARKDOWN, SUMMARY_JSON = "summary.md", "summary.json"


def begun(spec: PlanSpec, asked: Asked, *, home: Path, clock: Clock) -> PlanState:
    """The plan that was not finished, taken up again; or a new one."""
    now, states = clock.now(), stored_states(home)
    before = unfinished(states, target=asked.target, scale=asked.scale, symbol=asked.symbol, timeframe=asked.timeframe)
    known = before.stages if before is not None else {}
    waiting = {
        name: known.get(name, StageRecord()).model_copy(update={"outcome": "waiting"})
        for name in spec.selected(asked.target)
    }
    if before is not None:
        return before.model_copy(
            update={"outcome": "running", "ended_at": None, "starts": before.starts + 1, "stages": waiting}
        )
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
    return state


def interrupted(state: PlanState, *, instance: dg.DagsterInstance, home: Path) -> PlanState:
    """The plan as it stood when somebody stopped it; its runs are closed."""
    close_dead_runs(instance)
    newest = next((s for s in stored_states(home) if s.plan_id == state.plan_id), state)
    for name, record in newest.stages.items():
        if record.outcome == "running":
            newest = newest.with_stage(name, record.model_copy(update={"outcome": "interrupted"}))
    return newest


def ended(
    state: PlanState, outcome: str, *, spec: PlanSpec, instance: dg.DagsterInstance, home: Path, clock: Clock
) -> PlanState:
    """The plan with its outcome, stored, with the summary that people and machines read."""
    state = PlanState.model_validate(state.model_dump() | {"outcome": outcome, "ended_at": clock.now()})
    folder = save_state(home, state)
    markdown, figures = _comparison(state, spec=spec, instance=instance)
    replace_text(folder / SUMMARY_MARKDOWN, state_markdown(state, comparison=markdown))
    replace_text(folder / SUMMARY_JSON, json.dumps(state_json(state, comparison=figures), indent=2) + "\n")
    return state


def _comparison(
    state: PlanState, *, spec: PlanSpec, instance: dg.DagsterInstance
) -> tuple[str | None, dict[str, Any] | None]:
    """The newest comparison, where this plan vouches for it: its report is made, or was there on the same inputs."""
    made = any(
        record.outcome in FINISHED and spec.stages[name].job == "plan_report" for name, record in state.stages.items()
    )
    folder = newest_folder(instance, "training_report") if made else None
    if folder is None:
        return None, None
    text = (folder / COMPARISON_MARKDOWN).read_text(encoding="utf-8")
    return text, json.loads((folder / COMPARISON_JSON).read_text(encoding="utf-8"))
