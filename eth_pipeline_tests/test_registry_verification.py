"""Every tampering with a bundle is refused with its own error, and an intact bundle is not."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import (
    BundleExpired,
    BundleRefused,
    DecisionRefused,
    HashMismatch,
    SchemaMismatch,
    SignatureRefused,
)
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint, verify_bundle
from eth_pipeline.registry.bundles.signing import sign_folder
from eth_pipeline_tests.registry_maker import NOW, candidate, decision, expected, horizon, key_pair, promoted, report

Tamper = Callable[[Path, Path], object]

FILES = (
    "models/lightgbm_5h.onnx",
    "models/lightgbm_12h.onnx",
    "runtime_contract.json",
    "metrics.json",
    "data.json",
    "promotion_decision.json",
)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The pinned key pair."""
    return key_pair(tmp_path / "keys")


@pytest.fixture
def bundle(tmp_path: Path, keys: Path) -> Path:
    """A promoted, signed bundle."""
    folder = tmp_path / "bundle"
    promoted(folder, keys)
    return folder


def resign(folder: Path, keys: Path) -> None:
    sign_folder(folder, private_key=keys / "bundle.key")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def swap_models(folder: Path, keys: Path) -> None:
    first, second = folder / "models" / "lightgbm_5h.onnx", folder / "models" / "lightgbm_12h.onnx"
    spare = folder.parent / "spare"
    first.rename(spare)
    second.rename(first)
    spare.rename(second)


def symlink_model(folder: Path, keys: Path) -> None:
    model = folder / "models" / "lightgbm_5h.onnx"
    model.rename(folder.parent / "outside.onnx")
    model.symlink_to(folder.parent / "outside.onnx")


def symlink_models_folder(folder: Path, keys: Path) -> None:
    (folder / "models").rename(folder.parent / "outside")
    (folder / "models").symlink_to(folder.parent / "outside")


def foreign_key(folder: Path, keys: Path) -> None:
    resign(folder, key_pair(folder.parent / "foreign"))


def replay_old_signature(folder: Path, keys: Path) -> None:
    old = (folder / "model.sig").read_bytes()
    (folder / "models" / "lightgbm_5h.onnx").write_bytes(b"new content")
    resign(folder, keys)
    (folder / "model.sig").write_bytes(old)


def signature_of_another(folder: Path, keys: Path) -> None:
    promoted(folder.parent / "another", keys, content=b"another")
    (folder / "model.sig").write_bytes((folder.parent / "another" / "model.sig").read_bytes())


def decision_of_another(folder: Path, keys: Path) -> None:
    promoted(folder.parent / "another", keys, content=b"another")
    other = folder.parent / "another" / "promotion_decision.json"
    (folder / "promotion_decision.json").write_bytes(other.read_bytes())
    resign(folder, keys)


def promoted_with_a_failed_gate(folder: Path, keys: Path) -> None:
    path = folder / "promotion_decision.json"
    made = PromotionDecision.model_validate_json(path.read_text())
    failed = made.gates[0].model_copy(update={"passed": False})
    path.write_text(made.model_copy(update={"gates": (failed, *made.gates[1:])}).model_dump_json())
    resign(folder, keys)


def other_provenance_decided(folder: Path, keys: Path) -> None:
    edit_json(folder / "promotion_decision.json", provenance="replay")
    resign(folder, keys)


def unfit_contract(folder: Path, keys: Path) -> None:
    edit_json(folder / "runtime_contract.json", format_version=2)
    resign(folder, keys)


def huge_model(folder: Path, keys: Path) -> None:
    with (folder / "models" / "lightgbm_5h.onnx").open("wb") as stream:
        stream.truncate(300 * 2**20)  # sparse: no bytes on disk


def huge_json(folder: Path, keys: Path) -> None:
    with (folder / "metrics.json").open("wb") as stream:
        stream.truncate(9 * 2**20)


TAMPERINGS: list[tuple[str, Tamper, type[BundleRefused], str]] = [
    ("missing signature", lambda f, k: (f / "model.sig").unlink(), SignatureRefused, r"carries no model\.sig"),
    ("foreign key", foreign_key, SignatureRefused, "not pinned"),
    ("swapped models", swap_models, HashMismatch, r"Hash mismatch for 'models/lightgbm_12h\.onnx'"),
    ("removed model", lambda f, k: (f / "models" / "lightgbm_5h.onnx").unlink(), HashMismatch, "Missing files"),
    ("removed metrics", lambda f, k: (f / "metrics.json").unlink(), HashMismatch, r"lacks \['metrics\.json'\]"),
    ("added model", lambda f, k: (f / "models" / "x.onnx").write_bytes(b"x"), HashMismatch, "Extra files"),
    ("added script", lambda f, k: (f / "load.py").write_text("import os"), HashMismatch, "was added"),
    ("added folder", lambda f, k: (f / "extra").mkdir(), HashMismatch, "was added"),
    ("added git file", lambda f, k: (f / ".gitignore").write_text("*"), HashMismatch, "was added"),
    ("external data", lambda f, k: (f / "models" / "weights.bin").write_bytes(b"0"), HashMismatch, "added"),
    ("linked model", symlink_model, BundleRefused, "symbolic link"),
    ("linked models folder", symlink_models_folder, BundleRefused, "symbolic link"),
    ("huge model", huge_model, BundleRefused, "more than the .* a bundle file may have"),
    ("huge json", huge_json, BundleRefused, "more than the .* a bundle file may have"),
    ("old signature replayed", replay_old_signature, HashMismatch, r"models/lightgbm_5h\.onnx"),
    ("signature of another bundle", signature_of_another, HashMismatch, "Hash mismatch"),
    ("decision of another bundle", decision_of_another, DecisionRefused, "is about bundle"),
    (
        "missing decision",
        lambda f, k: (f / "promotion_decision.json").unlink(),
        DecisionRefused,
        r"carries no promotion_decision\.json",
    ),
    ("promoted despite a failed gate", promoted_with_a_failed_gate, DecisionRefused, "n_samples"),
    ("decision about other data", other_provenance_decided, DecisionRefused, "made about replay data"),
    ("contract of a later format", unfit_contract, BundleRefused, "no RuntimeContract that this code reads"),
]


def test_an_intact_bundle_is_verified_and_read(bundle: Path, keys: Path) -> None:
    verified = verify_bundle(bundle, **expected(keys))
    assert verified.fingerprint == fingerprint(bundle) == verified.decision.candidate_fingerprint
    assert verified.contract.models[0].file == "lightgbm_5h.onnx"
    assert verified.report is not None
    assert verified.report.oof_auc == 0.55


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("position", [0.0, 0.5, 1.0])
def test_one_flipped_bit_in_any_file_is_refused(bundle: Path, keys: Path, file: str, position: float) -> None:
    content = bytearray((bundle / file).read_bytes())
    content[round(position * (len(content) - 1))] ^= 1
    (bundle / file).write_bytes(content)
    with pytest.raises(HashMismatch, match=file):
        verify_bundle(bundle, **expected(keys))


@pytest.mark.parametrize("field", ['"payload"', '"sig"', '"hint"'])
def test_one_changed_letter_in_the_signature_is_refused(bundle: Path, keys: Path, field: str) -> None:
    text = (bundle / "model.sig").read_text()
    at = text.index(field) + len(field) + 24
    (bundle / "model.sig").write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    with pytest.raises(SignatureRefused):
        verify_bundle(bundle, **expected(keys))


@pytest.mark.parametrize(
    ("tamper", "error", "words"), [row[1:] for row in TAMPERINGS], ids=[row[0] for row in TAMPERINGS]
)
def test_each_tampering_is_refused_with_its_own_error(
    bundle: Path, keys: Path, tamper: Tamper, error: type[BundleRefused], words: str
) -> None:
    tamper(bundle, keys)
    with pytest.raises(BundleRefused, match=words) as refusal:
        verify_bundle(bundle, **expected(keys))
    assert refusal.type is error


def test_a_bundle_is_refused_from_the_instant_of_its_expiry(bundle: Path, keys: Path) -> None:
    last = NOW + timedelta(days=45)
    verify_bundle(bundle, **expected(keys, now=last - timedelta(microseconds=1)))
    with pytest.raises(BundleExpired, match=r"expired at 2025-08-13T12:00:00Z"):
        verify_bundle(bundle, **expected(keys, now=last))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("feature_schema", "0" * 64, "feature schema"), ("base_interval", "15m", "1h bars"), ("symbol", "BTCUSDT", "BTC")],
)
def test_a_bundle_for_other_inputs_is_refused(bundle: Path, keys: Path, field: str, value: str, words: str) -> None:
    demands = expected(keys)
    demands[field] = value  # type: ignore[literal-required]  # the field is the parameter of this test
    with pytest.raises(SchemaMismatch, match=words):
        verify_bundle(bundle, **demands)


def test_a_paper_decision_does_not_allow_live(bundle: Path, keys: Path) -> None:
    with pytest.raises(DecisionRefused, match="allows phase paper, this system runs live"):
        verify_bundle(bundle, **expected(keys, phase="live"))


def test_a_live_decision_allows_paper_too(tmp_path: Path, keys: Path) -> None:
    """An operator who steps back from live to paper must not lose the model with it."""
    promoted(tmp_path / "bundle", keys, phase="live")
    for phase in ("live", "paper"):
        verify_bundle(tmp_path / "bundle", **expected(keys, phase=phase))


def test_simulated_data_never_runs_live_whatever_was_signed(tmp_path: Path, keys: Path) -> None:
    folder = tmp_path / "bundle"
    made = decision(folder, candidate(folder, provenance="simulated"), phase="live")
    assert not made.promoted
    forced = made.model_copy(
        update={"promoted": True, "gates": tuple(g.model_copy(update={"passed": True}) for g in made.gates)}
    )
    attach_decision(folder, forced, private_key=keys / "bundle.key")
    with pytest.raises(DecisionRefused, match="live runs on binance data only"):
        verify_bundle(folder, **expected(keys, phase="live"))


def test_a_refused_candidate_is_signed_but_never_loaded(tmp_path: Path, keys: Path) -> None:
    """The refusal names the gate, so that the operator need not look for it."""
    folder = tmp_path / "bundle"
    candidate(folder)
    weak = report(horizons=(horizon(5, calibration_error=0.2),))
    attach_decision(folder, decision(folder, weak), private_key=keys / "bundle.key")
    with pytest.raises(DecisionRefused, match=r"calibration_error: .* 0\.2000 exceeds 0\.0300"):
        verify_bundle(folder, **expected(keys))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, keys: Path, bundle: Path) -> None:
    with pytest.raises(BundleRefused, match="no bundle folder"):
        verify_bundle(tmp_path / "nowhere", **expected(keys))
    (tmp_path / "link").symlink_to(bundle)
    with pytest.raises(BundleRefused, match="no bundle folder"):
        verify_bundle(tmp_path / "link", **expected(keys))
