"""What a plan would do now, stage by stage, and why.

Belongs here: asking. Does not belong: doing it (`runner`), what is finished (`defs.plan_work`).
"""

from dataclasses import dataclass

import dagster as dg

from eth_pipeline.definitions import defs
from eth_pipeline.defs.instance import open_instance
from eth_pipeline.defs.plan_work import StageWork, stage_work
from eth_pipeline.lake import Lake
from eth_pipeline.operations.plan.spec import PlanSpec
from eth_pipeline.operations.plan.state import StageRecord, last_record, stored_states
from eth_pipeline.settings import Settings


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
            work = work_of(spec, name, instance, settings)
            again = {each.stage for each in found if each.runs} & set(spec.stages[name].needs)
            if again:
                every = (*work.finished, *work.open)
                found.append(StageOutlook(name, True, every, f"{', '.join(sorted(again))} runs before it"))
                continue
            why = why_of(work, last_record(states, name))
            found.append(StageOutlook(name, bool(work.open), work.open, why))
    return found


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


def work_of(spec: PlanSpec, name: str, instance: dg.DagsterInstance, settings: Settings) -> StageWork:
    """How far a stage of the plan is."""
    return stage_work(
        spec.stages[name].job,
        instance=instance,
        graph=defs.resolve_asset_graph(),
        settings=settings,
        lake=Lake.of(settings),
    )
