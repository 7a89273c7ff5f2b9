"""The signing keys of a home: made, shown, rotated with an overlap.

Belongs here: which files there are and what they are for. Does not belong: cryptography (`signing`), which
keys are trusted (`settings.signing_public_keys`): nothing here changes the settings.

A rotation has four steps, and the hours between them lose no bundle:

    1. `eth-pipeline keys rotate` makes a new pair beside the old one. Nothing uses it yet.
    2. Every host pins both public keys in `signing_public_keys`: bundles of either key are accepted.
    3. The host that promotes sets `signing_private_key` to the new one, and promotes.
    4. Once no bundle to return to carries the old signature, the old public key is taken out of the settings and the
       old private key is destroyed.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from eth_pipeline.errors import SettingsInvalid, SignatureRefused
from eth_pipeline.registry.bundles.signing import create_key_pair, key_id, key_id_of_private


@dataclass(frozen=True)
class KeyPair:
    """Two files of one EC key; the id is what signatures name it by."""

    private_key: Path
    public_key: Path
    key_id: str


@dataclass(frozen=True)
class PinnedKey:
    """One public key that the settings trust."""

    public_key: Path
    key_id: str | None
    signs: bool
    problem: str = ""


@dataclass(frozen=True)
class Keyring:
    """The trusted keys and the one that signs here.

    Attributes:
        private_key: where the settings expect it.
        signing_key_id: None on a host that only verifies.
        problems: sentences about what would fail; none means that a promotion here is accepted everywhere.
    """

    private_key: Path
    signing_key_id: str | None
    pinned: tuple[PinnedKey, ...]
    problems: tuple[str, ...]


def init_keys(*, private_key: Path, public_key: Path) -> KeyPair:
    """Make the first pair of a home, offline; the private key is readable by its owner only.

    Raises:
        SettingsInvalid: one of the files exists.
    """
    create_key_pair(private_key=private_key, public_key=public_key)
    return KeyPair(private_key, public_key, key_id(public_key))


def rotate_keys(*, private_key: Path) -> KeyPair:
    """Make the next pair beside `private_key`, named by its id; the old pair is not touched.

    Raises:
        SettingsInvalid: there is no key to rotate.
    """
    if not private_key.exists():
        raise SettingsInvalid(f"There is no signing key {private_key} to rotate. Run `eth-pipeline keys init`.")
    unnamed = private_key.with_name(".next.key"), private_key.with_name(".next.pub")
    for left_over in unnamed:
        left_over.unlink(missing_ok=True)
    create_key_pair(private_key=unnamed[0], public_key=unnamed[1])
    name = f"bundle-{key_id(unnamed[1])[:12]}"
    made = private_key.with_name(f"{name}.key"), private_key.with_name(f"{name}.pub")
    for path, final in zip(unnamed, made, strict=True):
        path.rename(final)
    return KeyPair(*made, key_id(made[1]))


def examine_keys(*, private_key: Path, public_keys: tuple[Path, ...]) -> Keyring:
    """Look at every key the settings name; proves nothing about bundles."""
    signing = key_id_of_private(private_key) if private_key.exists() else None
    pinned = tuple(_pinned(path, signing=signing) for path in public_keys)
    problems = [key.problem for key in pinned if key.problem]
    if signing is not None and not any(key.signs for key in pinned):
        problems.append(
            f"{private_key} signs as {signing[:12]}, which no pinned public key answers for: what is promoted here is "
            "refused everywhere. Add its public key to `signing_public_keys`."
        )
    if signing is not None and stat.S_IMODE(private_key.stat().st_mode) & 0o077:
        problems.append(f"{private_key} can be read by others than its owner. Run `chmod 600 {private_key}`.")
    return Keyring(private_key, signing, pinned, tuple(problems))


def _pinned(path: Path, *, signing: str | None) -> PinnedKey:
    try:
        found = key_id(path)
    except SignatureRefused as refusal:
        return PinnedKey(path, None, signs=False, problem=str(refusal))
    return PinnedKey(path, found, signs=found == signing)
