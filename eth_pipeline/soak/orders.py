"""What a process of a soak is told to do, and what it says when it has done it.

Belongs here: the order and the answer, which go from process to process. Does not belong: carrying out (`worker`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from eth_pipeline.soak.moves import Move


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes:
        job: a job of the definitions, `failed_hour` for the record of a dead run, or empty for a `move`.
        move: a promotion or what else moves the registry.
        environment: variables of this order alone.
        largest_file_bytes: the disk is full beyond this.
        die_at_touch: SIGKILL at this touch of the outside.
    """

    job: str = "hourly"
    move: Move | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    largest_file_bytes: int | None = None
    die_at_touch: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came of an order; `killed` where the process died instead of answering."""

    succeeded: bool
    says: str = ""
    killed: bool = False
    seconds: float = 0.0
    memory_megabytes: float = 0.0
    open_files: int = 0
    touches: int = 0
    cpu_seconds: float = 0.0
