"""Which files a bundle may hold, and how large: checked before any of them is read.

Belongs here: names, kinds and sizes. Does not belong: content, signatures, verdicts (`bundle`).
"""

import os
import re
import stat
from pathlib import Path

from eth_pipeline.contracts.artifact import DATA_VERSIONS, DECISION, DRIFT, METRICS, MODELS, RUNTIME_CONTRACT, SIGNATURE
from eth_pipeline.errors import BundleRefused, DecisionRefused, HashMismatch, SignatureRefused

CONTENT = (RUNTIME_CONTRACT, METRICS, DATA_VERSIONS)
MODEL_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.onnx")

MAX_JSON_BYTES = 8 * 2**20
MAX_MODEL_BYTES = 256 * 2**20
MAX_MODELS = 64


def bundle_files(folder: Path) -> tuple[str, ...]:
    """Sorted relative paths of the files of `folder`, all of them allowed in a bundle.

    Raises:
        BundleRefused: no folder, a symbolic link or other special file, or a file beyond its size limit.
        HashMismatch: a file or folder that no bundle has.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BundleRefused(f"{folder} is no bundle folder. Name the folder that holds {RUNTIME_CONTRACT}.")
    names = list(_walk(folder, prefix=""))
    if sum(name.startswith(f"{MODELS}/") for name in names) > MAX_MODELS:
        raise BundleRefused(f"{folder} holds more than {MAX_MODELS} model files. Export fewer models per bundle.")
    return tuple(sorted(names))


def require_complete(folder: Path, *, files: tuple[str, ...]) -> None:
    """Refuse a bundle that lacks one of its parts.

    Raises:
        DecisionRefused: no promotion decision.
        SignatureRefused: no signature.
        HashMismatch: another part is missing.
    """
    if missing := [name for name in CONTENT if name not in files]:
        raise HashMismatch(f"{folder} lacks {missing}: it is no complete bundle. Fetch it from the registry again.")
    if not any(name.startswith(f"{MODELS}/") for name in files):
        raise HashMismatch(f"{folder} holds no model file. Fetch it from the registry again.")
    if DECISION not in files:
        raise DecisionRefused(
            f"{folder} carries no {DECISION}: nobody decided that it may be used. Run the promotion on it."
        )
    if SIGNATURE not in files:
        raise SignatureRefused(
            f"{folder} carries no {SIGNATURE}: nobody vouches for it. Promote it again on the host with the key."
        )


def _walk(folder: Path, *, prefix: str) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and name == MODELS:
                found += _walk(folder / entry.name, prefix=f"{MODELS}/")
                continue
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise BundleRefused(
                    f"{folder / entry.name} is a symbolic link or special file: a bundle holds plain files only, so "
                    "that what was signed is what is loaded. Fetch the bundle from the registry again."
                )
            if stat.S_ISDIR(status.st_mode) or not allowed_name(name):
                raise HashMismatch(
                    f"{folder / entry.name} was added: no bundle has such a file. Fetch the bundle from the registry "
                    "again, and find out who wrote there."
                )
            _check_size(folder / entry.name, size_bytes=status.st_size)
            found.append(name)
    return found


def allowed_name(name: str) -> bool:
    """True when a bundle may hold a file of this relative path."""
    if name.startswith(f"{MODELS}/"):
        return MODEL_FILE.fullmatch(name.removeprefix(f"{MODELS}/")) is not None
    return name in (*CONTENT, DRIFT, DECISION, SIGNATURE)


def _check_size(path: Path, *, size_bytes: int) -> None:
    limit_bytes = MAX_MODEL_BYTES if path.suffix == ".onnx" else MAX_JSON_BYTES
    if size_bytes > limit_bytes:
        raise BundleRefused(
            f"{path} has {size_bytes} bytes, more than the {limit_bytes} a bundle file may have; it was not opened. "
            "Fetch the bundle from the registry again."
        )
