"""What is remembered of a plan run: one JSON file per plan, written whole or not at all, and one plan at a time.

Belongs here: the record, finding it again, the lock. Does not belong: which work is finished; that is read from the
materializations themselves (`defs.plan_work`), so a record that says too much or too little repeats or skips nothing.

    <home>/plans/<id>/state.json     PlanState
    <home>/plans/<id>/summary.*      what a person reads at the end
    <home>/plans/<id>/<stage>.log    output of a stage's process
    <home>/plans/.lock               held by the plan that runs, and by its stage's process
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.errors import RetryLater
from eth_pipeline.registry.atomic import replace_text

STATE = "state.json"
StageOutcome = Literal["waiting", "running", "done", "skipped", "failed", "interrupted"]
PlanOutcome = Literal["running", "done", "failed", "interrupted"]
FINISHED: tuple[StageOutcome, ...] = ("done", "skipped")


class PlanRunning(RetryLater):
    """Another plan holds the lock of this home."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageRecord(_Part):
    """One stage of a plan run.

    Attributes:
        outcome: `skipped` was finished before, on the same inputs.
        why: why it ran, was skipped or failed.
        inputs: identity of everything that came from outside: settings, code, environment, data versions.
        digest: sha256 of `inputs`.
        run_ids: Dagster runs, oldest first, one per try; a skipped stage names those that made what is there.
        made: assets that it materialized.
        kept: assets that were finished before.
        seconds: wall-clock of all its tries.
        peak_memory_megabytes: most resident memory of its processes together.
    """

    outcome: StageOutcome = "waiting"
    why: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    digest: str = ""
    run_ids: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    seconds: float = 0.0
    peak_memory_megabytes: float = 0.0


class PlanState(_Part):
    """One plan run."""

    plan_id: str
    target: str
    scale: str
    symbol: str
    timeframe: str
    outcome: PlanOutcome = "running"
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    starts: int = Field(1, description="1, and one more for every time that it was taken up again.")
    stages: dict[str, StageRecord]

    def with_stage(self, name: str, record: StageRecord) -> "PlanState":
        """The same with one stage's record replaced."""
        return self.model_copy(update={"stages": {**self.stages, name: record}})


def plans_folder(home: Path) -> Path:
    """Where the plan runs of a home are remembered."""
    return home / "plans"


def save_state(home: Path, state: PlanState) -> Path:
    """Write the record and return its folder."""
    folder = plans_folder(home) / state.plan_id
    replace_text(folder / STATE, state.model_dump_json(indent=2) + "\n")
    return folder


def stored_states(home: Path) -> list[PlanState]:
    """Every record that can be read, newest first; a damaged one costs its story and nothing else."""
    found = []
    for path in plans_folder(home).glob(f"*/{STATE}"):
        try:
            found.append(PlanState.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda state: (state.started_at, state.plan_id), reverse=True)


def unfinished(states: list[PlanState], *, target: str, scale: str, symbol: str, timeframe: str) -> PlanState | None:
    """The newest plan that asked for the same, where it was not done; None where it was, or nothing was asked yet."""
    asked = (target, scale, symbol, timeframe)
    same = [state for state in states if (state.target, state.scale, state.symbol, state.timeframe) == asked]
    return same[0] if same and same[0].outcome != "done" else None


def last_record(states: list[PlanState], stage: str) -> StageRecord | None:
    """The newest record of a stage that got as far as knowing its inputs; None where there is none."""
    return next((s.stages[stage] for s in states if stage in s.stages and s.stages[stage].digest), None)


@contextmanager
def only_plan(home: Path) -> Iterator[int]:
    """Hold the lock of the plans and yield its descriptor; a child that inherits it keeps it until it ends too.

    Raises:
        PlanRunning: somebody holds it.
    """
    path = plans_folder(home) / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlanRunning(
                f"Another plan runs in {home}. Wait for it (`eth-pipeline plan status`), or stop it with SIGINT; what "
                "it has finished is kept."
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)
