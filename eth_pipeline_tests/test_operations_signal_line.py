"""The published schema of the signal log: it is the one the models give, and every line that is written fits it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import collect_manifest
from eth_pipeline.operations.signal_line import SignalLine, schema_text, stored_schema
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.hourly import failed_record, missed_record
from eth_pipeline_tests.decision_samples import HOUR, MODEL, NOON, ORIGIN, forecast, sample_settings, signal
from eth_pipeline_tests.schema_faults import faults

SETTINGS = sample_settings()
SCHEMA = stored_schema()
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
ORIGIN_OF = {"settings": SETTINGS, "emitted_at": NOON, **ORIGIN}
KINDS: dict[str, SignalRecord] = {
    "without a model": signal(SETTINGS, NOON - 4 * HOUR),
    "with a forecast": signal(
        SETTINGS,
        NOON - 3 * HOUR,
        forecast=forecast(0.61, 0.58, 0.55),
        model=MODEL,
        ml=MlAvailability(True, None, "version 7 answered"),
    ),
    "blocked": signal(SETTINGS, NOON - 2 * HOUR, verdict=STALE),
    "missed": missed_record(decision_time=NOON - HOUR, **ORIGIN_OF),
    "failed": failed_record(decision_time=NOON, detail="the disk is full", **ORIGIN_OF),
}


def written(folder: Path, record: SignalRecord, *, with_manifest: bool) -> dict[str, Any]:
    """The line that the log writes for a record."""
    manifest = collect_manifest(SETTINGS, now=NOON, provenance="simulated", versions={"klines": 3})
    log = SignalLog(Lake(str(folder / "lake")), folder=folder / "logs", manifest=manifest if with_manifest else None)
    log.write(record)
    (path,) = (folder / "logs").glob("signals_*.jsonl")
    line: dict[str, Any] = json.loads(path.read_text())
    return line


def test_the_stored_schema_is_the_one_the_models_give() -> None:
    """Run `python -m eth_pipeline.operations.signal_line` after a change of the record, and read the difference."""
    assert json.loads(schema_text()) == SCHEMA


def test_the_command_prints_the_schema() -> None:
    assert json.loads(CliRunner().invoke(app, ["signals", "schema"]).stdout) == SCHEMA


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_line_fits_the_schema_and_names_every_field(
    tmp_path: Path, kind: str, with_manifest: bool
) -> None:
    line = written(tmp_path, KINDS[kind], with_manifest=with_manifest)
    assert faults(line, SCHEMA, SCHEMA) == []
    assert set(line["data"]) == set(SCHEMA["$defs"]["Signal"]["properties"]), "no field without a description of it"
    SignalLine.model_validate_json(json.dumps(line))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda line: line.pop("runtime_manifest"), "$ lacks runtime_manifest"),
        (lambda line: line.update(level="INFO"), "$.level is not SIGNAL"),
        (lambda line: line["data"].pop("consensus_strength"), "$.data lacks consensus_strength"),
        (lambda line: line["data"].pop("ml_available"), "$.data lacks ml_available"),
        (lambda line: line["data"].update(state="fine"), "$.data.state is none of"),
        (lambda line: line["data"].update(surprise=1), "$.data has the unknown field surprise"),
        (lambda line: line["data"].update(decision_time="noon"), "$.data.decision_time is no instant"),
        (lambda line: line["data"].update(position_share=1.5), "$.data.position_share is above 1"),
        (lambda line: line["runtime_manifest"].pop("code"), "$.runtime_manifest fits none of 2"),
        (lambda line: line["runtime_manifest"].update(mood="good"), "$.runtime_manifest fits none of 2"),
    ],
)
def test_schema_and_model_refuse_the_same_edits(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], fault: str
) -> None:
    line = written(tmp_path, KINDS["without a model"], with_manifest=True)
    change(line)
    assert any(found.startswith(fault) for found in faults(line, SCHEMA, SCHEMA))
    with pytest.raises(ValidationError):
        SignalLine.model_validate_json(json.dumps(line))
