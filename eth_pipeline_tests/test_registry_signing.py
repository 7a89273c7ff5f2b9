"""Signatures over folders, with real keys and the real library."""

import stat
from pathlib import Path

import pytest

from eth_pipeline.errors import HashMismatch, SettingsInvalid, SignatureRefused
from eth_pipeline.registry.bundles.signing import create_key_pair, sign_folder, verify_folder
from eth_pipeline_tests.registry_maker import key_pair


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A folder of two files, signed with the keys in `keys` beside it."""
    keys = key_pair(tmp_path / "keys")
    folder = tmp_path / "folder"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "a.onnx").write_bytes(b"model")
    (folder / "metrics.json").write_text("{}")
    sign_folder(folder, private_key=keys / "bundle.key")
    return folder


def test_the_private_key_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    keys = key_pair(tmp_path)
    assert stat.S_IMODE((keys / "bundle.key").stat().st_mode) == 0o600
    assert (keys / "bundle.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("existing", ["bundle.key", "bundle.pub"])
def test_an_existing_key_is_never_overwritten(tmp_path: Path, existing: str) -> None:
    """A new key over the old one orphans every bundle in the registry, rollback targets included."""
    (tmp_path / existing).write_text("precious")
    with pytest.raises(SettingsInvalid, match="not overwritten"):
        create_key_pair(private_key=tmp_path / "bundle.key", public_key=tmp_path / "bundle.pub")
    assert (tmp_path / existing).read_text() == "precious"


def test_a_signed_folder_names_the_key_that_signed_it(signed: Path, tmp_path: Path) -> None:
    public = tmp_path / "keys" / "bundle.pub"
    assert verify_folder(signed, public_keys=(public,)) == public


def test_during_a_key_rotation_either_pinned_key_is_accepted(signed: Path, tmp_path: Path) -> None:
    new, old = key_pair(tmp_path / "new") / "bundle.pub", tmp_path / "keys" / "bundle.pub"
    assert verify_folder(signed, public_keys=(new, old)) == old
    sign_folder(signed, private_key=tmp_path / "new" / "bundle.key")
    assert verify_folder(signed, public_keys=(old, new)) == new


def test_a_folder_may_be_moved_after_signing(signed: Path, tmp_path: Path) -> None:
    moved = signed.rename(tmp_path / "elsewhere")
    verify_folder(moved, public_keys=(tmp_path / "keys" / "bundle.pub",))


def test_a_key_that_is_not_pinned_is_refused_by_name(signed: Path, tmp_path: Path) -> None:
    other = key_pair(tmp_path / "other") / "bundle.pub"
    with pytest.raises(SignatureRefused, match=r"not pinned; pinned: bundle\.pub"):
        verify_folder(signed, public_keys=(other,))


def test_without_any_pinned_key_nothing_is_accepted(signed: Path) -> None:
    with pytest.raises(SignatureRefused, match="pinned: none"):
        verify_folder(signed, public_keys=())


def test_a_pinned_key_that_cannot_be_read_is_named(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(SignatureRefused, match=r"gone\.pub cannot be read"):
        verify_folder(signed, public_keys=(tmp_path / "gone.pub",))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "not json", '{"verificationMaterial": {"publicKey": {"hint": 1}}}', "[" * 5000]
)
def test_a_file_that_is_no_signature_is_refused_as_one(signed: Path, tmp_path: Path, text: str) -> None:
    (signed / "model.sig").write_text(text)
    with pytest.raises(SignatureRefused, match="no model-signing signature"):
        verify_folder(signed, public_keys=(tmp_path / "keys" / "bundle.pub",))


def test_claiming_a_pinned_key_does_not_make_its_signature(signed: Path, tmp_path: Path) -> None:
    """The key id in a signature is a claim; a forger writes whichever he likes."""
    forger = key_pair(tmp_path / "forger")
    genuine = (signed / "model.sig").read_text()
    sign_folder(signed, private_key=forger / "bundle.key")
    forged = (signed / "model.sig").read_text()
    claim = genuine.split('"hint"')[1].split('"')[1]
    own = forged.split('"hint"')[1].split('"')[1]
    (signed / "model.sig").write_text(forged.replace(own, claim))
    with pytest.raises(SignatureRefused, match="was not made with it"):
        verify_folder(signed, public_keys=(tmp_path / "keys" / "bundle.pub",))


def test_files_of_git_count_like_any_other(signed: Path, tmp_path: Path) -> None:
    """The library leaves out .git and .gitignore by default: a place to hide."""
    (signed / ".gitignore").write_text("hidden")
    with pytest.raises(HashMismatch, match=r"\.gitignore"):
        verify_folder(signed, public_keys=(tmp_path / "keys" / "bundle.pub",))


def test_a_file_that_the_signer_left_out_is_refused(signed: Path, tmp_path: Path) -> None:
    """model-signing lets the signer exclude paths, and the verifier then skips them too."""
    from model_signing import hashing, signing

    without_models = hashing.Config().set_ignored_paths(paths=["models", "model.sig"])
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "keys" / "bundle.key")
    config.set_hashing_config(without_models).sign(signed, signed / "model.sig")
    with pytest.raises(HashMismatch, match=r"does not cover: \['models/a\.onnx'\]"):
        verify_folder(signed, public_keys=(tmp_path / "keys" / "bundle.pub",))


@pytest.mark.parametrize("content", [None, "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_an_unusable_signing_key_says_what_to_do(signed: Path, tmp_path: Path, content: str | None) -> None:
    key = tmp_path / "broken.key"
    if content is not None:
        key.write_text(content)
    with pytest.raises(SettingsInvalid, match="keys init"):
        sign_folder(signed, private_key=key)
