"""The JSON Schemas in the repository: what they accept is what the models accept, judged by `schema_faults`."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eth_pipeline.contracts.artifact import DATA_VERSIONS, DECISION, METRICS, RUNTIME_CONTRACT
from eth_pipeline.registry.bundles.schemas import SHAPES, schema_name, schema_text, stored_schema, write_schemas
from eth_pipeline_tests.registry_maker import candidate, key_pair, promoted
from eth_pipeline_tests.schema_faults import faults


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A promoted bundle."""
    folder = tmp_path_factory.mktemp("schemas")
    promoted(folder / "bundle", key_pair(folder / "keys"))
    return folder / "bundle"


def read(bundle: Path, file: str) -> Any:
    return json.loads((bundle / file).read_text())


@pytest.mark.parametrize("file", SHAPES)
def test_the_stored_schema_is_the_one_the_models_give(file: str) -> None:
    """Run `python -m eth_pipeline.registry.bundles.schemas` after a change of the models, and read the difference."""
    assert json.loads(schema_text(file)) == stored_schema(file)


def test_writing_the_schemas_makes_one_file_for_each_json_of_a_bundle(tmp_path: Path) -> None:
    assert {path.name for path in write_schemas(tmp_path)} == {schema_name(file) for file in SHAPES}
    assert {path.name for path in tmp_path.iterdir()} == {schema_name(file) for file in SHAPES}


@pytest.mark.parametrize("file", SHAPES)
def test_what_a_promotion_writes_fits_its_schema(bundle: Path, file: str) -> None:
    schema = stored_schema(file)
    assert faults(read(bundle, file), schema, schema) == []


@pytest.mark.parametrize(
    ("file", "change", "fault"),
    [
        (DECISION, {"promoted": "yes"}, "$.promoted is no boolean"),
        (DECISION, {"phase": "demo"}, "$.phase is none of"),
        (DECISION, {"forced_by": "hand"}, "$ has the unknown field forced_by"),
        (DECISION, {"decided_at": "yesterday"}, "$.decided_at is no instant"),
        (DECISION, {"gates": [{"name": "n_samples"}]}, "$.gates[0] lacks value"),
        (RUNTIME_CONTRACT, {"format_version": 2}, "$.format_version is not 1"),
        (RUNTIME_CONTRACT, {"provenance": "kraken"}, "$.provenance is none of"),
        (RUNTIME_CONTRACT, {"inputs": [{"name": "a", "dtype": "float64"}]}, "$.inputs[0].dtype is not float32"),
        (METRICS, {"oof_rows": "many"}, "$.oof_rows is no integer"),
        (DATA_VERSIONS, {"versions": {"features": "newest"}}, "$.versions.features is no integer"),
    ],
)
def test_schema_and_model_refuse_the_same_edits(bundle: Path, file: str, change: dict[str, Any], fault: str) -> None:
    edited = {**read(bundle, file), **change}
    schema = stored_schema(file)
    assert any(found.startswith(fault) for found in faults(edited, schema, schema))
    with pytest.raises(ValidationError):
        SHAPES[file].model_validate_json(json.dumps(edited), strict=True)  # as verification reads


@pytest.mark.parametrize("file", [DECISION, RUNTIME_CONTRACT])
def test_every_field_that_is_required_is_missed(bundle: Path, file: str) -> None:
    schema, whole = stored_schema(file), read(bundle, file)
    for name in schema["required"]:
        assert faults({k: v for k, v in whole.items() if k != name}, schema, schema) == [f"$ lacks {name}"]


def test_a_candidate_that_was_not_decided_about_has_three_of_the_files(tmp_path: Path) -> None:
    candidate(tmp_path / "bundle")
    present = [file for file in SHAPES if (tmp_path / "bundle" / file).exists()]
    assert present == [RUNTIME_CONTRACT, METRICS, DATA_VERSIONS]
