"""JSON Schemas of the four JSON files of a bundle, kept in the repository beside the contracts.

Belongs here: generating them from the models that read and write those files. Does not belong: the models
(`contracts.artifact`, `models.figures.report`), verification.

The models forbid unknown fields and are what writing and loading validate with; the schemas say the same to readers
that have no Python. `python -m eth_pipeline.registry.bundles.schemas` writes them again, and a test holds them equal.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eth_pipeline.contracts.artifact import (
    DATA_VERSIONS,
    DECISION,
    METRICS,
    RUNTIME_CONTRACT,
    DataVersions,
    PromotionDecision,
    RuntimeContract,
)
from eth_pipeline.models.figures.report import EvaluationReport

SHAPES: Mapping[str, type[BaseModel]] = {
    RUNTIME_CONTRACT: RuntimeContract,
    METRICS: EvaluationReport,
    DATA_VERSIONS: DataVersions,
    DECISION: PromotionDecision,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_name(file: str) -> str:
    """`runtime_contract.schema.json` for `runtime_contract.json`."""
    return file.removesuffix(".json") + ".schema.json"


def schema_text(file: str) -> str:
    """The schema of one of the files, as written by our own models: every field is there, defaults too."""
    schema: dict[str, Any] = {"$schema": DIALECT, **SHAPES[file].model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def stored_schema(file: str) -> dict[str, Any]:
    """The schema of one of the files as the package carries it."""
    text = resources.files("eth_pipeline.contracts").joinpath("schemas", schema_name(file)).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def write_schemas(folder: Path) -> tuple[Path, ...]:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / schema_name(file) for file in SHAPES)
    for file, path in zip(SHAPES, paths, strict=True):
        path.write_text(schema_text(file), encoding="utf-8")
    return paths


if __name__ == "__main__":
    write_schemas(Path(__file__).parents[2] / "contracts" / "schemas")
