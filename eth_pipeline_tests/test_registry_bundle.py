"""A bundle is written whole, named by its content, and never changed once decided about."""

from pathlib import Path

import pytest

from eth_pipeline.errors import ContractViolation, DecisionRefused
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint, read_report, verify_bundle, write_bundle
from eth_pipeline_tests.registry_maker import (
    candidate,
    contract,
    data_versions,
    decision,
    expected,
    horizon,
    key_pair,
    promoted,
    report,
)

MODELS = {"lightgbm_5h.onnx": b"five", "lightgbm_12h.onnx": b"twelve"}


def write(folder: Path, **changes: object) -> str:
    parts: dict[str, object] = {"contract": contract(), "models": MODELS, "report": report(), "data": data_versions()}
    return write_bundle(folder, **{**parts, **changes})  # type: ignore[arg-type]  # each test bends one part


def test_the_fingerprint_is_a_name_of_the_content_alone(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    assert write(tmp_path / "elsewhere" / "b") == first == fingerprint(tmp_path / "a")
    assert write(tmp_path / "c", models={**MODELS, "lightgbm_5h.onnx": b"other"}) != first
    assert write(tmp_path / "d", report=report(oof_auc=0.551)) != first


def test_deciding_and_signing_leave_the_fingerprint_as_it_was(tmp_path: Path) -> None:
    """The decision names the fingerprint; if it were part of it, no decision could be written."""
    keys = key_pair(tmp_path / "keys")
    made = promoted(tmp_path / "a", keys)
    assert fingerprint(tmp_path / "a") == made.candidate_fingerprint


def test_the_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "a")
    assert read_report(tmp_path / "a") == report()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": {"lightgbm_5h.onnx": b"five"}}, "lightgbm_12h.onnx"),
        ({"models": {}}, "handed over"),
        ({"report": report(provenance="replay")}, "from binance"),
        ({"report": report(symbol="BTCUSDT")}, "about BTCUSDT"),
        ({"report": report(validation_auc=float("nan"))}, r"metrics\.json does not survive JSON"),
        ({"report": report(horizons=(horizon(5, log_loss=float("inf")),))}, "NaN or infinite"),
    ],
)
def test_parts_that_contradict_each_other_leave_nothing_behind(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ContractViolation, match=words):
        write(tmp_path / "home" / "a", **changes)
    assert not list(tmp_path.glob("home/*"))


def test_a_model_file_cannot_be_written_outside_its_folder(tmp_path: Path) -> None:
    name = "../../escaped.onnx"
    sneaky = contract(models=(contract().models[0].model_copy(update={"file": name}),))
    with pytest.raises(ContractViolation, match="not allowed"):
        write(tmp_path / "a" / "b", contract=sneaky, models={name: b"x"})
    assert not list(tmp_path.rglob("*.onnx"))


def test_an_undecided_bundle_is_replaced_and_a_decided_one_is_not(tmp_path: Path) -> None:
    """A retried training step writes to the same folder; a promoted bundle must survive that."""
    keys = key_pair(tmp_path / "keys")
    write(tmp_path / "a")
    promoted(tmp_path / "a", keys)
    with pytest.raises(ContractViolation, match="decided about"):
        write(tmp_path / "a")
    verify_bundle(tmp_path / "a", **expected(keys))


def test_a_decision_about_another_bundle_is_not_attached(tmp_path: Path) -> None:
    keys = key_pair(tmp_path / "keys")
    figures = candidate(tmp_path / "a")
    candidate(tmp_path / "b", content=b"another")
    with pytest.raises(DecisionRefused, match="Decide about this bundle"):
        attach_decision(tmp_path / "b", decision(tmp_path / "a", figures), private_key=keys / "bundle.key")
    assert not (tmp_path / "b" / "promotion_decision.json").exists()


def test_a_second_decision_replaces_the_first_with_its_signature(tmp_path: Path) -> None:
    keys = key_pair(tmp_path / "keys")
    figures = candidate(tmp_path / "a")
    for phase in ("paper", "live"):
        attach_decision(tmp_path / "a", decision(tmp_path / "a", figures, phase=phase), private_key=keys / "bundle.key")
        assert verify_bundle(tmp_path / "a", **expected(keys, phase=phase)).decision.phase == phase
    assert {path.name for path in tmp_path.iterdir()} == {"a", "keys"}
