"""The plan of a soak: which troubles, how often, and what may be used up meanwhile.

Belongs here: the shape of plan.yaml and reading it. Does not belong: at which hour a trouble comes (`schedule`), what
it does (`hours`, `host_faults`, `moves`).
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.faults import KINDS
from eth_pipeline.settings.operator_file import read_operator_yaml

DEFAULT_PLAN = Path(__file__).parent / "plan.yaml"
HostTrouble = Literal[
    "kill",
    "kill_and_again",
    "disk_full",
    "read_only_lake",
    "two_schedulers",
    "again",
    "powered_off",
    "exchange_clock_back",
    "host_clock_jump",
]
ModelTrouble = Literal["promote", "rollback", "expire", "tamper", "mlflow_down", "promotion_killed"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trouble(_Part):
    """One kind of trouble: exactly one of `fault`, `host` and `model`.

    Attributes:
        per_day: how often.
        hours: decided hours that a fault of the exchange lasts.
        since_minutes, until_minutes: the fault's span, relative to the full hour at which it begins.
        fault: arguments of `FaultBoard.switch_on`.
        host, model: what happens to this host, or to the model in production.
    """

    per_day: float = Field(gt=0)
    hours: int = Field(1, ge=1)
    since_minutes: float | None = None
    until_minutes: float | None = None
    fault: dict[str, Any] | None = None
    host: HostTrouble | None = None
    model: ModelTrouble | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> "Trouble":
        if sum(part is not None for part in (self.fault, self.host, self.model)) != 1:
            raise ValueError("needs exactly one of `fault`, `host` and `model`")
        if self.fault is not None and self.fault.get("kind") not in KINDS:
            raise ValueError(f"no fault is called {self.fault.get('kind')!r}; choose one of {', '.join(sorted(KINDS))}")
        return self


class Bounds(_Part):
    """What a soak may use up."""

    worker_memory_megabytes: float = Field(gt=0)
    worker_growth_megabytes_per_day: float = Field(gt=0)
    worker_open_files: int = Field(gt=0)
    disk_megabytes_per_hour: float = Field(gt=0)


class SoakPlan(_Part):
    """A whole plan file."""

    storm_hours: int = Field(ge=1)
    calm_hours: int = Field(ge=1)
    first_calm_hours: int = Field(ge=1)
    environment: dict[str, str] = {}
    bounds: Bounds
    troubles: dict[str, Trouble]


def read_plan(path: Path = DEFAULT_PLAN) -> SoakPlan:
    """The plan in `path`.

    Raises:
        SettingsInvalid: it cannot be read, or is no plan.
    """
    content = read_operator_yaml(path, what="The soak plan", remedy="Name another with --faults.")
    try:
        return SoakPlan.model_validate(content)
    except ValidationError as error:
        raise SettingsInvalid(
            f"{path} is no plan of a soak: {error}. Correct it after the example of {DEFAULT_PLAN.name}."
        ) from error
