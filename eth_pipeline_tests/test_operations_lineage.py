"""Tests of eth_pipeline.operations.lineage: a signal walked back to its bars, features, model, promotion and commit."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import KLINES, MARK_KLINES
from eth_pipeline.operations.config_audit import record_configuration
from eth_pipeline.operations.lineage import lineage
from eth_pipeline.registry.bundles.verification import VerifiedBundle
from eth_pipeline.registry.crossings import Crossings, ExportedSnapshot, ImportedCandidate
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.signals.evidence import load_evidence
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, mark_bars, signal, walk
from eth_pipeline_tests.inference_host import InferenceHost

CLOCK = NOON + timedelta(seconds=20)


class Told:
    """A host that decided one hour with a promoted bundle, and the record of it."""

    def __init__(self, folder: Path) -> None:
        self.host = InferenceHost(folder)
        lake = self.host.lake
        lake.upsert(KLINES, bars(walk(4), first=NOON - 4 * HOUR))
        lake.upsert(MARK_KLINES, mark_bars(walk(4), first=NOON - 4 * HOUR))
        self.bundle: VerifiedBundle = self.host.produce("7")
        self.log = PromotionLog.of(self.host.settings.home)
        self.log.append(decision=self.bundle.decision, version="7", run_id="trained-by", at=NOON - HOUR)
        record_configuration(self.host.settings, now=NOON, command="test", commit="c0ffee")
        self.host.forecast()
        evidence = load_evidence(
            lake, settings=self.host.settings, now=CLOCK, decision_time=NOON, exchange_reachable=True
        )
        tables = (KLINES, MARK_KLINES, FORECASTS, self.host.table)
        versions = {table.name: version for table in tables if (version := lake.version(table)) is not None}
        self.record: SignalRecord = signal(
            self.host.settings,
            emitted_at=CLOCK,
            ml=evidence.ml,
            forecast=evidence.forecast,
            model=evidence.model,
            table_versions=versions,
            config_digest=self.host.settings.digest(),
        )

    def steps(self, record: SignalRecord | None = None) -> dict[str, dict[str, Any]]:
        """Name of a step to its facts."""
        found = lineage(record or self.record, lake=self.host.lake, settings=self.host.settings)
        return {step.name: step.facts for step in found}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_every_step_names_what_it_was_made_of(told: Told) -> None:
    steps = told.steps()
    assert list(steps) == [
        "signal",
        "forecast",
        "consensus",
        "features",
        "klines",
        "mark_klines",
        "model",
        "promotion",
        "code",
    ]
    newest = told.host.lake.read(KLINES).sort("close_time").row(-1, named=True)
    assert steps["klines"]["close"] == newest["close"]
    assert steps["klines"]["newest_close_time"] == "2025-03-03T12:00:00Z"
    assert (steps["klines"]["source"], steps["klines"]["table_version"]) == ("api", 0)
    assert steps["forecast"]["fingerprint"] == told.bundle.fingerprint == steps["model"]["fingerprint"]
    assert steps["model"]["files"] == "as fingerprinted"
    assert steps["promotion"]["decision"] == told.bundle.decision.decision_id
    assert (steps["promotion"]["run"], steps["promotion"]["log_line"]) == ("trained-by", 1)
    assert steps["code"]["configuration_in_use_since"] == "2025-03-03T12:00:00Z"
    assert steps["features"]["coverage"] == pytest.approx(0.97)


def test_a_later_version_of_a_table_does_not_change_what_the_record_saw(told: Told) -> None:
    before = told.steps()
    changed = told.host.lake.read(KLINES).with_columns(pl.col("close") * 0.999, pl.col("low") * 0.99)
    told.host.lake.upsert(KLINES, changed)
    row = told.host.rows().with_columns(coverage=pl.lit(0.1))
    told.host.lake.upsert(told.host.table, row)
    assert told.steps() == before


def test_another_value_of_one_feature_is_another_digest(told: Told) -> None:
    name = told.host.inputs[0]
    told.host.lake.upsert(told.host.table, told.host.rows().with_columns(pl.col(name) + 1))
    version = told.host.lake.version(told.host.table)
    moved = told.record.model_copy(
        update={"table_versions": {**told.record.table_versions, told.host.table.name: version}}
    )
    assert told.steps(moved)["features"]["values_sha256"] != told.steps()["features"]["values_sha256"]


def test_a_model_that_was_changed_or_is_gone_says_so(told: Told) -> None:
    model = told.bundle.folder / "models" / "lightgbm_5h.onnx"
    model.write_bytes(model.read_bytes() + b"x")
    assert told.steps()["model"]["files"] == "CHANGED since they were fingerprinted"
    told.bundle.folder.rename(told.bundle.folder.with_name("elsewhere"))
    assert "no longer on this host" in told.steps()["model"]["note"]


def test_a_promotion_after_the_hour_is_not_what_the_hour_ran_on(told: Told) -> None:
    later = told.log.append(
        decision=told.bundle.decision, version="7", run_id="later", at=NOON + HOUR, action="rolled_back"
    )
    assert told.steps()["promotion"]["log_line"] == later.sequence - 1


def test_an_edited_promotion_log_is_no_evidence(told: Told) -> None:
    told.log.path.write_text(told.log.path.read_text().replace("trained-by", "somebody"))
    assert "edited" in told.steps()["promotion"]["note"]


def test_an_hour_without_a_model_says_why_and_a_table_that_was_not_there_too(told: Told) -> None:
    bare = signal(told.host.settings, table_versions={})
    steps = told.steps(bare)
    assert steps["model"]["version"] == "none"
    assert "no entry" in steps["promotion"]["note"]
    assert "did not exist" in steps["klines"]["note"]
    assert "did not exist" in steps["consensus"]["note"]
    assert CONSENSUS.name not in told.record.table_versions


def test_a_model_from_beyond_the_air_gap_leads_to_node_and_snapshot(told: Told) -> None:
    crossings = Crossings(told.host.settings.home)
    snapshot = ExportedSnapshot(
        number=3,
        digest="5" * 64,
        exported_at=NOON - 2 * HOUR,
        config_digest="c" * 64,
        code_commit="c0ffee",
        tries=1,
        provenance="simulated",
        table_versions={"klines": 41},
    )
    candidate = ImportedCandidate(
        fingerprint=told.bundle.fingerprint,
        folder="candidates/imported-000003-x",
        parameters_digest="d" * 64,
        snapshot_number=3,
        snapshot_digest=snapshot.digest,
        node="gpu-node",
        node_commit="c0ffee",
        node_runs={"lightgbm_model": "run-on-the-node"},
        collection="e" * 64,
        collected_at=NOON - HOUR,
        signed_with="f" * 64,
        mlflow_run="m" * 32,
        imported_at=NOON - HOUR,
    )
    crossings.note_export(snapshot)
    crossings.note_import(candidate.model_copy(update={"fingerprint": "0" * 64}))
    assert "snapshot" not in told.steps(), "another model came across, not this one"
    crossings.note_import(candidate)
    step = told.steps()["snapshot"]
    assert (step["number"], step["node"], step["node_runs"]) == (3, "gpu-node", {"lightgbm_model": "run-on-the-node"})
    assert (step["exported_at"], step["exported_tables"]) == ("2025-03-03T10:00:00Z", {"klines": 41})


def test_a_version_that_was_vacuumed_is_named_and_no_crash(told: Told) -> None:
    gone = told.record.model_copy(update={"table_versions": {**told.record.table_versions, "klines": 99}})
    assert "can no longer be read" in told.steps(gone)["klines"]["note"]
    assert replace(lineage(gone, lake=told.host.lake, settings=told.host.settings)[4]).name == "klines"
