"""Signing keys are made once, shown honestly, and rotated without a bundle being refused in between."""

import os
import stat
from pathlib import Path

import pytest

from eth_pipeline.errors import SettingsInvalid, SignatureRefused
from eth_pipeline.registry.bundles.keys import examine_keys, init_keys, rotate_keys
from eth_pipeline.registry.bundles.signing import key_id, sign_folder, verify_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with something to sign."""
    made = tmp_path / "bundle"
    made.mkdir()
    (made / "metrics.json").write_text("{}")
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_a_new_signing_key_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = init_keys(private_key=tmp_path / "k" / "bundle.key", public_key=tmp_path / "k" / "bundle.pub")
    finally:
        os.umask(before)
    assert (mode(made.private_key), mode(made.public_key)) == (0o600, 0o644)
    assert made.key_id == key_id(made.public_key)
    with pytest.raises(SettingsInvalid, match="keys rotate"):
        init_keys(private_key=made.private_key, public_key=tmp_path / "other.pub")


def test_a_rotation_never_leaves_a_moment_in_which_a_good_bundle_is_refused(tmp_path: Path, folder: Path) -> None:
    """Old host with the old pin, new host with both, bundles of both keys: every step of the way is accepted."""
    old = init_keys(private_key=tmp_path / "bundle.key", public_key=tmp_path / "bundle.pub")
    sign_folder(folder, private_key=old.private_key)
    new = rotate_keys(private_key=old.private_key)
    assert mode(new.private_key) == 0o600
    assert new.key_id != old.key_id
    assert (old.private_key.exists(), old.public_key.exists()) == (True, True), "the old pair is not touched"
    both = (old.public_key, new.public_key)
    assert verify_folder(folder, public_keys=both) == old.public_key
    sign_folder(folder, private_key=new.private_key)
    assert verify_folder(folder, public_keys=both) == new.public_key
    with pytest.raises(SignatureRefused, match="not pinned"):
        verify_folder(folder, public_keys=(old.public_key,))
    sign_folder(folder, private_key=old.private_key)
    with pytest.raises(SignatureRefused, match="not pinned"):
        verify_folder(folder, public_keys=(new.public_key,))


def test_a_rotation_that_was_interrupted_can_be_repeated(tmp_path: Path) -> None:
    old = init_keys(private_key=tmp_path / "bundle.key", public_key=tmp_path / "bundle.pub")
    (tmp_path / ".next.key").write_text("half a key")
    made = rotate_keys(private_key=old.private_key)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["bundle.key", "bundle.pub", made.private_key.name, made.public_key.name]
    )


def test_without_a_key_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="keys init"):
        rotate_keys(private_key=tmp_path / "bundle.key")


def test_the_keyring_names_the_key_that_signs_and_every_problem(tmp_path: Path) -> None:
    old = init_keys(private_key=tmp_path / "bundle.key", public_key=tmp_path / "bundle.pub")
    new = rotate_keys(private_key=old.private_key)
    whole = examine_keys(private_key=old.private_key, public_keys=(old.public_key, new.public_key))
    assert [key.signs for key in whole.pinned] == [True, False]
    assert (whole.signing_key_id, whole.problems) == (old.key_id, ())
    old.private_key.chmod(0o640)
    (tmp_path / "odd.pub").write_text("no key")
    found = examine_keys(private_key=old.private_key, public_keys=(new.public_key, tmp_path / "odd.pub"))
    assert [word for word in ("odd.pub", "no pinned public key answers", "chmod 600") if word in str(found.problems)]
    assert len(found.problems) == 3
    verifies = examine_keys(private_key=tmp_path / "none.key", public_keys=(new.public_key,))
    assert (verifies.signing_key_id, verifies.problems) == (None, ())


def test_a_signing_key_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "bundle.key").write_text("no key")
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        examine_keys(private_key=tmp_path / "bundle.key", public_keys=())
