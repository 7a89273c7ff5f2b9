"""Signatures over folders: OpenSSF model-signing with an EC key, offline.

Belongs here: making keys, signing a folder, finding the pinned key that signed it and letting the library
verify every byte. Does not belong: what a bundle contains or whether it may be used (`bundle`).

The library is imported inside the functions: its package imports the whole sigstore client (about 0.4 s),
which only a process that signs or verifies pays. Nothing here opens a connection.
"""

import base64
import binascii
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.artifact import SIGNATURE
from eth_pipeline.errors import HashMismatch, SettingsInvalid, SignatureRefused


@dataclass(frozen=True)
class Subject:
    """What is signed, for the sentences of a refusal.

    Attributes:
        noun: what people call it.
        setting: the setting that lists the keys it may be signed with.
        remedy: what to do when it is refused.
    """

    noun: str
    setting: str
    remedy: str


BUNDLE = Subject("bundle", "signing_public_keys", "Do not use this bundle: roll back, or train and promote a new one.")


def create_key_pair(*, private_key: Path, public_key: Path) -> None:
    """Make an EC P-256 key pair as two PEM files; the private one is readable by its owner only (0600).

    Raises:
        SettingsInvalid: one of the files exists. Overwriting it would orphan every bundle it signed.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    for path in (private_key, public_key):
        if path.exists():
            raise SettingsInvalid(
                f"{path} exists and is not overwritten: bundles signed with it could no longer be verified. "
                "To rotate keys, run `eth-pipeline keys rotate` and pin both public keys."
            )
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_new(private_key, secret, mode=0o600)
    _write_new(public_key, _public_pem(key.public_key()), mode=0o644)


def sign_folder(folder: Path, *, private_key: Path) -> None:
    """Sign every file below `folder` (sha256 each) and write `model.sig` into it, replacing an older one.

    Raises:
        SettingsInvalid: the private key is missing or is no EC key in PEM.
    """
    from model_signing import signing

    try:
        config = signing.Config()  # type: ignore[no-untyped-call]  # the library's constructor has no annotation
        signer = config.use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SettingsInvalid(
            f"The signing key {private_key} cannot be used: {error}. Create one with `eth-pipeline keys init` "
            "or set `signing_private_key`."
        ) from error
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".signing-") as scratch:
        unfinished = Path(scratch) / SIGNATURE
        signer.set_hashing_config(_hashing()).sign(folder, unfinished)
        unfinished.replace(folder / SIGNATURE)


def verify_folder(folder: Path, *, public_keys: tuple[Path, ...], subject: Subject = BUNDLE) -> Path:
    """Verify `model.sig` of `folder` against the pinned keys and return the key that signed it.

    Args:
        folder: all of it must be signed.
        public_keys: the pinned ones.
        subject: what the folder is, for the message of a refusal.

    Raises:
        SignatureRefused: the signature is missing, malformed, made with a key that is not pinned, or broken;
            or a pinned key cannot be read.
        HashMismatch: a file was changed, added or removed since it was signed.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    signature = folder / SIGNATURE
    key_id, signed_files = _read_signature(signature, subject=subject)
    key = _pinned_key(key_id, public_keys=public_keys, subject=subject)
    try:
        config = verifying.Config()  # type: ignore[no-untyped-call]  # the library's constructor has no annotation
        verifier = config.use_elliptic_key_verifier(public_key=key)
        verifier.set_hashing_config(_hashing()).verify(folder, signature)
    except InvalidSignature as error:
        raise SignatureRefused(
            f"{signature} names the pinned key {key.name}, but was not made with it: the signature was edited or "
            f"belongs to other content. {subject.remedy}"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        # The library says "the files differ" with a plain ValueError; its text is the only distinction.
        if str(error).startswith("Signature mismatch"):
            raise HashMismatch(f"{folder} is not what was signed. {error}. {subject.remedy}") from error
        raise SignatureRefused(f"{signature} cannot be verified: {error}. {subject.remedy}") from error
    _refuse_unsigned(folder, signed_files=signed_files, subject=subject)
    return key


def key_id(public_key: Path) -> str:
    """sha256 of the PEM of a public key, as model-signing writes it into a signature.

    Raises:
        SignatureRefused: the file is missing or is no public key in PEM.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise SignatureRefused(
            f"The pinned public key {public_key} cannot be read: {error}. Create keys with `eth-pipeline keys init`, "
            "or correct `signing_public_keys`."
        ) from error
    return hashlib.sha256(_public_pem(key)).hexdigest()


def key_id_of_private(private_key: Path) -> str:
    """The id of the public half of `private_key`.

    Raises:
        SettingsInvalid: the file is no private key in PEM.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsInvalid(
            f"The signing key {private_key} cannot be read: {error}. Restore it, or run `eth-pipeline keys init`."
        ) from error
    return hashlib.sha256(_public_pem(key.public_key())).hexdigest()


def _hashing() -> Any:
    """Every file counts, git's own too; only the signature cannot sign itself."""
    from model_signing import hashing

    config = hashing.Config()  # type: ignore[no-untyped-call]  # the library's constructor has no annotation
    by_file = config.use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    return by_file.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _read_signature(signature: Path, *, subject: Subject) -> tuple[str, frozenset[str]]:
    """Key id and signed file names as the signature claims them; nothing is proven yet."""
    if not signature.is_file():
        raise SignatureRefused(f"{signature} is missing: nobody vouches for this {subject.noun}. {subject.remedy}")
    try:
        claim = json.loads(signature.read_bytes())
        claimed_key = claim["verificationMaterial"]["publicKey"]["hint"]
        statement = json.loads(base64.b64decode(claim["dsseEnvelope"]["payload"], validate=True))
        names = frozenset(str(resource["name"]) for resource in statement["predicate"]["resources"])
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise SignatureRefused(
            f"{signature} is no model-signing signature made with a key: {error!r}. {subject.remedy}"
        ) from error
    return str(claimed_key), names


def _pinned_key(claimed: str, *, public_keys: tuple[Path, ...], subject: Subject) -> Path:
    pinned = {key_id(path): path for path in public_keys}
    if claimed not in pinned:
        known = ", ".join(f"{path.name} ({identifier[:12]})" for identifier, path in pinned.items()) or "none"
        raise SignatureRefused(
            f"The {subject.noun} was signed with key {claimed[:12]}, which is not pinned; pinned: {known}. If you "
            f"trust that key, add its public file to `{subject.setting}`; if you do not know it, do not use this "
            f"{subject.noun}."
        )
    return pinned[claimed]


def _refuse_unsigned(folder: Path, *, signed_files: frozenset[str], subject: Subject) -> None:
    """A signer may have excluded paths; here an unsigned file is a foreign file."""
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SIGNATURE}
    if unsigned := sorted(present - signed_files):
        raise HashMismatch(f"{folder} holds files that the signature does not cover: {unsigned}. {subject.remedy}")


def _public_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
