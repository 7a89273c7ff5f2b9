"""One line of the signal log, as a model and as the JSON Schema that is published beside the contracts.

Belongs here: what a line is. Does not belong: writing lines (`signal_log`), the record inside (`contracts.signal`).

`eth_pipeline/contracts/schemas/signal_line.schema.json` is for readers that have no Python: shippers of logs,
executors, dashboards. `python -m eth_pipeline.operations.signal_line` writes it again, and a test holds the two equal.
A field that is added or removed changes the file, and with it the review.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from eth_pipeline.contracts.flat_signal import FLAT_SIGNAL
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.operations.manifest import Manifest
from eth_pipeline.registry.bundles.schemas import DIALECT

FILE = "signal_line.schema.json"


class RecordOrigin(BaseModel):
    """What the record itself says of its origin, where its writer kept no manifest: an hour missed or failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    code_commit: str
    config_digest: str
    model_version: str | None
    model_fingerprint: str | None
    table_versions: dict[str, int]
    provenance: str

    @classmethod
    def of(cls, record: SignalRecord) -> "RecordOrigin":
        """The origin of a record."""
        return cls(
            run_id=record.run_id,
            code_commit=record.code_commit,
            config_digest=record.config_digest,
            model_version=record.model_version,
            model_fingerprint=record.ml.ml_fingerprint,
            table_versions=record.table_versions,
            provenance=record.provenance,
        )


class SignalLine(BaseModel):
    """A line of `signals_<day>.jsonl`: one record as it was written, and what was running when it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["SIGNAL"]
    time: AwareDatetime = Field(description="When the record was emitted, exchange time.")
    runtime_manifest: Manifest | RecordOrigin
    data: FLAT_SIGNAL


def schema_text() -> str:
    """The schema of a line as this package writes it: every field is there, defaults too."""
    schema: dict[str, Any] = {"$schema": DIALECT, **SignalLine.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def stored_schema() -> dict[str, Any]:
    """The schema as the package carries it."""
    text = resources.files("eth_pipeline.contracts").joinpath("schemas", FILE).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


if __name__ == "__main__":
    (Path(__file__).parents[1] / "contracts" / "schemas" / FILE).write_text(schema_text(), encoding="utf-8")
