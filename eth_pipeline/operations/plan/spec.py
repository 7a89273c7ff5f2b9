"""The plan file: stages with their limits, scales with their settings, pools, and what a host must have.

Belongs here: the shape of `h800/plan.yaml` and reading it. Does not belong: doing what it says (`cli.plan.runner`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings.operator_file import read_operator_yaml

ALL = "all"
Gpu = Literal["none", "wanted", "required"]
Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Part):
    """One stage: a Dagster job, what has to be done before it, and what it may use.

    Attributes:
        job: name of the Dagster job.
        description: a sentence for people.
        needs: stages whose results it reads.
        timeout_minutes: a stage that takes longer is stopped and counts as failed.
        memory_gigabytes: resident memory of its processes together; beyond it the stage is stopped and has failed.
        retries: further tries after a failure; never after a limit was hit.
    """

    job: str
    description: str
    needs: tuple[str, ...] = ()
    timeout_minutes: Positive
    memory_gigabytes: Positive
    retries: int = Field(0, ge=0)


class Requirements(_Part):
    """What a host must have before a plan starts."""

    disk_gigabytes: Positive
    memory_gigabytes: Positive
    shared_memory_megabytes: Positive
    clock_offset_seconds: Positive
    newest_bar_hours: Positive
    gpu: Gpu


class Scale(_Part):
    """How large a run is.

    Attributes:
        description: a sentence for people.
        settings: overrides of `Settings`, nested as there; they are handed to every stage.
        steps_at_once: steps of a stage side by side, a process each; 1 is all of them in the stage's process.
        requires: what the host must have.
    """

    description: str
    settings: dict[str, Any] = Field(default_factory=dict)
    steps_at_once: int = Field(1, ge=1)
    requires: Requirements


class PlanSpec(_Part):
    """The whole file; stages in the order in which they run."""

    version: Literal[1]
    timeframes: tuple[str, ...]
    pools: dict[str, Annotated[int, Field(ge=1)]]
    stages: dict[str, Stage]
    scales: dict[str, Scale]

    @model_validator(mode="after")
    def _needs_come_first(self) -> "PlanSpec":
        known: set[str] = set()
        for name, stage in self.stages.items():
            if name == ALL:
                raise ValueError(f"no stage may be called {ALL}; that names all of them")
            if late := [need for need in stage.needs if need not in known]:
                raise ValueError(f"stage {name} needs {', '.join(late)}, which no stage before it is called")
            known.add(name)
        return self

    def selected(self, target: str) -> tuple[str, ...]:
        """Stages that `target` stands for: it and everything it needs, in order; `all` is every stage.

        Raises:
            SettingsInvalid: there is no such stage.
        """
        if target == ALL:
            return tuple(self.stages)
        if target not in self.stages:
            raise SettingsInvalid(f"No stage is called {target!r}. Choose from: {', '.join((ALL, *self.stages))}.")
        wanted = {target}
        for name in reversed(self.stages):
            if name in wanted:
                wanted.update(self.stages[name].needs)
        return tuple(name for name in self.stages if name in wanted)

    def scale(self, name: str) -> Scale:
        """The scale of that name.

        Raises:
            SettingsInvalid: there is none.
        """
        if name not in self.scales:
            raise SettingsInvalid(f"No scale is called {name!r}. Choose from: {', '.join(self.scales)}.")
        return self.scales[name]

    def require_timeframe(self, timeframe: str) -> None:
        """Make sure that decisions of this timeframe are made at all.

        Raises:
            SettingsInvalid: they are not.
        """
        if timeframe not in self.timeframes:
            raise SettingsInvalid(
                f"No model is trained for {timeframe} decisions: features, labels and horizons are per full hour. "
                f"Choose from: {', '.join(self.timeframes)}. The size of ingested bars is ETH_PIPELINE_BASE_INTERVAL."
            )


def load_plan(path: Path) -> PlanSpec:
    """Read and check the plan file.

    Raises:
        SettingsInvalid: it is absent, no YAML, or not of the expected shape; one line per wrong field.
    """
    content = read_operator_yaml(path, what="The plan", remedy="Name another with --plan.")
    try:
        return PlanSpec.model_validate(content)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'plan'}: {e['msg']}" for e in error.errors()]
        raise SettingsInvalid(f"The plan {path} is not usable:\n" + "\n".join(lines) + "\nCorrect it.") from error


def environment_of(overrides: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as environment variables: {"training": {"seed": 7}} is ETH_PIPELINE_TRAINING__SEED=7."""
    return {"ETH_PIPELINE_" + "__".join(path).upper(): text for path, text in _leaves(overrides, ())}


def environment_for_symbol(symbol: str, *, symbols: tuple[str, ...]) -> dict[str, str]:
    """Train for `symbol`; the other symbols of the settings become its cross symbols."""
    others = [name for name in symbols if name != symbol]
    return {"ETH_PIPELINE_SYMBOL": symbol, "ETH_PIPELINE_CROSS_SYMBOLS": json.dumps(others)}


def _leaves(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value if isinstance(value, str) else json.dumps(value)
