"""A candidate beside production: recorded every hour, never in the decision, and its troubles are its own."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.artifact import DECISION
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.errors import (
    BundleExpired,
    BundleRefused,
    DecisionRefused,
    HashMismatch,
    SchemaMismatch,
    SignatureRefused,
)
from eth_pipeline.registry.bundles.bundle import attach_decision
from eth_pipeline.registry.bundles.signing import create_key_pair, sign_folder
from eth_pipeline.registry.bundles.verification import read_decision
from eth_pipeline.signals.evidence import load_evidence
from eth_pipeline.signals.forecasting.forecast_rows import stored_forecast
from eth_pipeline.signals.shadow import compute_shadow_forecasts
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.inference_host import CLOCK, EXPIRES, InferenceHost, breaking_model, plain_parts, rich_parts


@pytest.fixture
def host(tmp_path: Path) -> InferenceHost:
    """A host with a production bundle and shadows switched on."""
    host = InferenceHost(tmp_path, shadow_enabled=True)
    host.produce("1")
    return host


def shadow(host: InferenceHost, folder: Path | None = None) -> pl.DataFrame:
    """What the shadow's asset does; the rows it stored."""
    if folder is not None:
        host.configure(shadow_bundle=folder)
    rows = compute_shadow_forecasts(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON)
    host.lake.upsert(FORECASTS, rows)
    return rows


def stored(host: InferenceHost, role: str) -> pl.DataFrame:
    return host.lake.read(FORECASTS, where=pl.col("role") == role)


def test_an_unpromoted_candidate_is_recorded_beside_production_and_never_acts(host: InferenceHost) -> None:
    production = host.forecast()
    folder = host.write("candidate", rich_parts(bias=-2.0), promoted=False)
    rows = shadow(host, folder)
    assert set(rows["algorithm"]) == {"lightgbm", "lstm", "stacking"}
    assert not rows["acting"].any()
    assert set(rows["role"]) == {"shadow"}
    assert set(rows["model_version"]) == {"folder"}
    assert set(rows["fingerprint"]).isdisjoint(production["fingerprint"])
    assert rows.filter(pl.col("raw_probability").is_not_null())["algorithm"].unique().to_list() == ["lightgbm"]
    assert stored(host, "production").equals(host.lake.read(FORECASTS).filter(pl.col("role") == "production"))
    assert stored(host, "production").sort("horizon_hours").equals(production.sort("horizon_hours"))


def test_production_is_read_the_same_with_and_without_a_shadow(host: InferenceHost) -> None:
    host.forecast()

    def judged() -> object:
        evidence = load_evidence(
            host.lake, settings=host.settings, now=CLOCK, decision_time=NOON, exchange_reachable=True
        )
        return evidence.forecast, evidence.ml, evidence.verdict

    before = judged()
    assert shadow(host, host.write("candidate", plain_parts(bias=-3.0), promoted=False)).height == 3
    assert judged() == before


def test_a_shadow_alone_is_no_forecast(host: InferenceHost) -> None:
    shadow(host, host.write("candidate", plain_parts(bias=-3.0), promoted=False))
    evidence = load_evidence(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON, exchange_reachable=True)
    assert evidence.forecast is None
    assert not evidence.ml.available


def test_shadow_rows_do_not_count_even_after_the_candidate_was_promoted(host: InferenceHost) -> None:
    """The rows then carry the fingerprint of the bundle in use; only their role tells them apart."""
    folder = host.write("candidate", plain_parts(bias=-3.0))
    assert shadow(host, folder).height == 3
    promoted = host.promote(folder, version="2")
    evidence = load_evidence(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON, exchange_reachable=True)
    assert set(stored(host, "shadow")["fingerprint"]) == {promoted.fingerprint}
    assert evidence.forecast is None
    acting = host.forecast()
    again = load_evidence(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON, exchange_reachable=True)
    assert again.forecast is not None
    assert acting["acting"].all()
    assert stored(host, "shadow").height == 3


def test_a_row_of_a_shadow_is_not_read_even_if_it_claims_to_act(host: InferenceHost) -> None:
    production = host.forecast()
    bundle = host.contract(plain_parts())
    claimed = production.with_columns(role=pl.lit("shadow"), algorithm=pl.lit("oracle"), probability_up=pl.lit(0.9))
    assert stored_forecast(pl.concat([production, claimed]), contract=bundle) == stored_forecast(
        production, contract=bundle
    )
    assert stored_forecast(claimed.with_columns(algorithm=pl.lit("lightgbm")), contract=bundle) is None


def test_the_bundle_in_production_is_not_its_own_shadow(host: InferenceHost) -> None:
    folder = host.write("candidate", plain_parts(bias=-3.0))
    named = host.promote(folder, version="2").folder
    assert shadow(host, named).is_empty()


def test_nothing_happens_where_shadows_are_off_absent_or_have_no_features(host: InferenceHost) -> None:
    assert shadow(host).is_empty()
    host.configure(shadow_bundle=host.write("candidate", plain_parts(bias=-3.0), promoted=False))
    later = NOON + HOUR
    assert compute_shadow_forecasts(host.lake, settings=host.settings, now=later, decision_time=later).is_empty()
    host.configure(shadow_enabled=False)
    assert shadow(host).is_empty()


def test_a_shadow_runs_where_there_is_no_production_at_all(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path, shadow_enabled=True)
    assert shadow(host, host.write("candidate", plain_parts(), promoted=False)).height == 3


def test_a_candidate_that_breaks_or_is_refused_leaves_production_as_it_was(host: InferenceHost) -> None:
    production = host.forecast()
    breaking = host.write("breaking", plain_parts(model=breaking_model()), promoted=False)
    with pytest.raises(BundleRefused, match="broke"):
        shadow(host, breaking)
    with pytest.raises(BundleRefused):
        shadow(host, host.write("no model", plain_parts(model=b"signed, and no ONNX"), promoted=False))
    with pytest.raises(BundleRefused):
        shadow(host, host.folder / "nowhere")
    assert host.lake.read(FORECASTS).sort("horizon_hours").equals(production.sort("horizon_hours"))
    assert host.forecast().equals(production)


def test_a_candidate_proves_everything_but_its_promotion(host: InferenceHost) -> None:
    tampered = host.write("tampered", plain_parts(bias=0.1), promoted=False)
    model = tampered / "models" / "lightgbm_5h.onnx"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(HashMismatch):
        shadow(host, tampered)
    with pytest.raises(BundleExpired):
        shadow(host, host.write("expired", plain_parts(bias=0.2), promoted=False, expires_at=NOON))
    with pytest.raises(SchemaMismatch):
        shadow(host, host.write("other features", plain_parts(bias=0.3), promoted=False, feature_schema="0" * 64))
    foreign = host.write("foreign", plain_parts(bias=0.4), promoted=False)
    create_key_pair(private_key=host.folder / "foreign.key", public_key=host.folder / "foreign.pub")
    attach_decision(foreign, read_decision(foreign), private_key=host.folder / "foreign.key")
    with pytest.raises(SignatureRefused):
        shadow(host, foreign)
    edited = host.write("edited", plain_parts(bias=0.5), promoted=False)
    decision = json.loads((edited / DECISION).read_text())
    (edited / DECISION).write_text(json.dumps({**decision, "promoted": True}))
    with pytest.raises(BundleRefused):
        shadow(host, edited)
    other = host.write("of another", plain_parts(bias=0.7), promoted=False)
    shutil.copyfile(edited / DECISION, other / DECISION)
    sign_folder(other, private_key=host.settings.private_key_path)
    with pytest.raises(DecisionRefused, match="is about bundle"):
        shadow(host, other)
    undecided = host.write("undecided", plain_parts(bias=0.6), promoted=False)
    (undecided / DECISION).unlink()
    with pytest.raises((DecisionRefused, HashMismatch)):
        shadow(host, undecided)


def test_the_expiry_of_a_candidate_is_checked_every_hour(host: InferenceHost) -> None:
    host.configure(shadow_bundle=host.write("candidate", plain_parts(bias=-3.0), promoted=False))
    with pytest.raises(BundleExpired):
        compute_shadow_forecasts(host.lake, settings=host.settings, now=EXPIRES, decision_time=NOON)
