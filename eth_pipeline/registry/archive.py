"""A bundle as one file, for the way between hosts that share no registry.

Belongs here: packing, and unpacking as if the file came from an enemy. Does not belong: whether the bundle may be used
(`registry.verification`): an archive proves nothing, what comes out of it is verified like any other folder.

A zip whose members are stored, not compressed: the same bundle gives the same bytes on every host, and a file of n
bytes can never become more than n bytes on disk. Reading accepts exactly what writing makes and nothing else.
"""

import os
import stat
import tempfile
import zipfile
from pathlib import Path

from eth_pipeline.errors import ArchiveRefused
from eth_pipeline.registry.layout import MAX_JSON_BYTES, MAX_MODEL_BYTES, MAX_MODELS, allowed_name, bundle_files

MAX_ARCHIVE_BYTES = 2**30
MAX_MEMBERS = MAX_MODELS + 8
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
_CHUNK_BYTES = 2**20
_AGAIN = "Nothing was kept. Export the bundle again with `eth-pipeline bundle export`."


def pack_bundle(folder: Path, archive: Path) -> Path:
    """Write the bundle in `folder` to the file `archive`, whole or not at all; returns `archive`.

    Raises:
        BundleRefused: or one of its kinds: `folder` holds something that no bundle may hold.
    """
    names = bundle_files(folder)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".archive-") as scratch:
        unfinished = Path(scratch) / "new"
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as packed:
            for name in names:
                member = zipfile.ZipInfo(name, date_time=_EPOCH)
                member.create_system, member.external_attr = 3, _PLAIN_FILE
                packed.writestr(member, (folder / name).read_bytes())
        unfinished.replace(archive)
    return archive


def unpack_bundle(archive: Path, target: Path) -> Path:
    """Write the bundle in the file `archive` to the new folder `target`; returns `target`, unverified.

    Raises:
        ArchiveRefused: it is not what `pack_bundle` writes, or `target` exists.
    """
    if target.exists():
        raise ArchiveRefused(f"{target} exists. Unpack {archive.name} into a new folder.")
    size_bytes = archive.stat().st_size if archive.is_file() else 0
    if not 0 < size_bytes <= MAX_ARCHIVE_BYTES:
        raise ArchiveRefused(
            f"{archive} has {size_bytes} bytes; a bundle's archive has between 1 and {MAX_ARCHIVE_BYTES}. {_AGAIN}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
        unfinished = Path(scratch) / "new"
        unfinished.mkdir()
        try:
            with zipfile.ZipFile(archive) as packed:
                members = packed.infolist()
                _require_harmless(members, archive, size_bytes=size_bytes)
                for member in members:
                    _write(packed, member, unfinished / member.filename)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
            raise ArchiveRefused(f"{archive} is no readable archive: {error}. {_AGAIN}") from error
        unfinished.rename(target)
    return target


def _require_harmless(members: list[zipfile.ZipInfo], archive: Path, *, size_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise ArchiveRefused(f"{archive} holds {len(members)} members, more than the {MAX_MEMBERS} allowed. {_AGAIN}")
    if len({member.filename for member in members}) != len(members):
        raise ArchiveRefused(f"{archive} holds one name twice: which one was meant cannot be known. {_AGAIN}")
    for member in members:
        _require_plain(member, archive)
    total_bytes = sum(member.file_size for member in members)
    if total_bytes > size_bytes:
        raise ArchiveRefused(
            f"{archive} has {size_bytes} bytes and claims to hold {total_bytes}: its members overlap. {_AGAIN}"
        )


def _require_plain(member: zipfile.ZipInfo, archive: Path) -> None:
    name = member.orig_filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise ArchiveRefused(f"{archive} holds {name!r}, a path that leads out of the bundle. {_AGAIN}")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ArchiveRefused(f"{archive} holds {name!r}, a link or special file. {_AGAIN}")
    if name != member.filename or not allowed_name(name):
        raise ArchiveRefused(f"{archive} holds {name!r}, which no bundle has. {_AGAIN}")
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size or member.flag_bits & 1:
        raise ArchiveRefused(
            f"{archive} holds {name!r} compressed or encrypted ({member.compress_size} bytes that become "
            f"{member.file_size}); a bundle's members are stored as they are. {_AGAIN}"
        )
    limit_bytes = MAX_MODEL_BYTES if name.endswith(".onnx") else MAX_JSON_BYTES
    if member.file_size > limit_bytes:
        raise ArchiveRefused(
            f"{archive} holds {name!r} with {member.file_size} bytes, more than the {limit_bytes} allowed. {_AGAIN}"
        )


def _write(packed: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with packed.open(member) as source, os.fdopen(descriptor, "wb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            stream.write(chunk)
