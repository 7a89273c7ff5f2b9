"""What crossed the air gap on the signal host: snapshots that went out, candidates that came in.

Belongs here: the two lists, and asking them. Does not belong: what travels (`registry.air_gap.snapshot`,
`registry.air_gap.collection`), whether it is admitted (`registry.air_gap.collection_import`).

    <home>/air_gap/exported.jsonl    ExportedSnapshot: one line per export, numbers ascend
    <home>/air_gap/imported.jsonl    ImportedCandidate: one line per candidate that was admitted

The first list is how the host knows a snapshot again, the second is the lineage of every imported model.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from eth_pipeline.errors import ContractViolation
from eth_pipeline.registry.atomic import exclusive

_FOLDER = "air_gap"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_AnyLine = TypeVar("_AnyLine", bound=_Line)


class ExportedSnapshot(_Line):
    """A snapshot that left this host; `exported_at` is exchange time."""

    number: int
    digest: str
    exported_at: AwareDatetime
    config_digest: str
    code_commit: str
    tries: int
    provenance: str
    table_versions: dict[str, int]


class ImportedCandidate(_Line):
    """A candidate that was trained elsewhere: on what, where, by which runs, and who vouched for it.

    Attributes:
        folder: relative to the home.
        signed_with: id of the key of the collection that brought it.
        collection: sha256 of that collection's description.
        mlflow_run: the run that holds its figures, plots and logs here.
    """

    fingerprint: str
    folder: str
    parameters_digest: str
    snapshot_number: int
    snapshot_digest: str
    node: str
    node_commit: str
    node_runs: dict[str, str]
    collection: str
    collected_at: AwareDatetime
    signed_with: str
    mlflow_run: str
    imported_at: AwareDatetime

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow shows of it, on the runs and on the model version."""
        return {
            "origin_node": self.node,
            "origin_commit": self.node_commit,
            "origin_snapshot": str(self.snapshot_number),
            "origin_snapshot_digest": self.snapshot_digest,
            "origin_collection": self.collection,
            "origin_key": self.signed_with,
            **{f"origin_run_{asset}": run_id for asset, run_id in self.node_runs.items()},
        }


class Crossings:
    """The lists of one home, below `folder`."""

    def __init__(self, home: Path) -> None:
        self.folder = home / _FOLDER

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One export or import of this home at a time."""
        with exclusive(self.folder / ".lock"):
            yield

    def exported(self) -> tuple[ExportedSnapshot, ...]:
        """Every snapshot that left, oldest first.

        Raises:
            ContractViolation: a line is broken.
        """
        return self._read("exported.jsonl", ExportedSnapshot)

    def imported(self) -> tuple[ImportedCandidate, ...]:
        """Every candidate that was admitted, oldest first.

        Raises:
            ContractViolation: a line is broken.
        """
        return self._read("imported.jsonl", ImportedCandidate)

    def origin_of(self, fingerprint: str) -> ImportedCandidate | None:
        """Where the bundle of this content was trained; None for one that was trained here."""
        return next((line for line in reversed(self.imported()) if line.fingerprint == fingerprint), None)

    def note_export(self, line: ExportedSnapshot) -> None:
        """Add a snapshot; on disk when this returns."""
        self._append("exported.jsonl", line)

    def note_import(self, line: ImportedCandidate) -> None:
        """Add a candidate; on disk when this returns."""
        self._append("imported.jsonl", line)

    def _read(self, name: str, shape: type[_AnyLine]) -> tuple[_AnyLine, ...]:
        path = self.folder / name
        if not path.exists():
            return ()
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        try:
            return tuple(shape.model_validate_json(line) for line in lines)
        except ValidationError as error:
            raise ContractViolation(
                f"{path} holds a line that is no {shape.__name__}. Restore the file from its backup; nothing crosses "
                "the gap until it can be read."
            ) from error

    def _append(self, name: str, line: _Line) -> None:
        """One write call: a killed process leaves the whole line or none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, line.model_dump_json().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
