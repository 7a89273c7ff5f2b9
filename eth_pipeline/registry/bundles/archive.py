"""A signed folder as one file, for the way between hosts that share nothing: a bundle, a snapshot, a collection.

Belongs here: packing, and unpacking as if the file came from an enemy. Does not belong: whether the content may be used
(`verification`, `registry.air_gap.snapshot_import`, `registry.air_gap.collection_import`): an archive proves nothing,
what comes out of it is verified like any other folder.

A zip whose members are stored, not compressed: the same folder gives the same bytes on every host, and a file of n
bytes can never become more than n bytes on disk. Reading accepts exactly what writing makes and nothing else.
"""

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from eth_pipeline.contracts.unreadable_zip import UNREADABLE_ZIP
from eth_pipeline.errors import ArchiveRefused
from eth_pipeline.registry.bundles.layout import MAX_JSON_BYTES, MAX_MODEL_BYTES, MAX_MODELS, allowed_name, bundle_files

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Shape:
    """What an archive of one kind may hold; anything else is refused before a byte is written.

    Attributes:
        noun: what people call it.
        allowed: whether a file of this relative path may be in it.
        largest_bytes: of the file of this path.
        most_bytes: of the whole archive.
        most_members: files in it.
        again: how the sender makes it anew.
    """

    noun: str
    allowed: Callable[[str], bool]
    largest_bytes: Callable[[str], int]
    most_bytes: int
    most_members: int
    again: str


BUNDLE = Shape(
    noun="bundle",
    allowed=allowed_name,
    largest_bytes=lambda name: MAX_MODEL_BYTES if name.endswith(".onnx") else MAX_JSON_BYTES,
    most_bytes=2**30,
    most_members=MAX_MODELS + 8,
    again="Nothing was kept. Export the bundle again with `eth-pipeline bundle export`.",
)


def pack_bundle(folder: Path, archive: Path) -> Path:
    """Write the bundle in `folder` to the file `archive`, whole or not at all; returns `archive`.

    Raises:
        BundleRefused: or one of its kinds: `folder` holds something that no bundle may hold.
    """
    return pack(folder, archive, names=bundle_files(folder))


def unpack_bundle(archive: Path, target: Path) -> Path:
    """Write the bundle in the file `archive` to the new folder `target`; returns `target`, unverified.

    Raises:
        ArchiveRefused: it is not what `pack_bundle` writes, or `target` exists.
    """
    return unpack(archive, target, shape=BUNDLE)


def pack(folder: Path, archive: Path, *, names: Iterable[str]) -> Path:
    """Write the files `names` of `folder` to the file `archive`, whole or not at all; returns `archive`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".archive-") as scratch:
        unfinished = Path(scratch) / "new"
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as packed:
            for name in names:
                member = zipfile.ZipInfo(name, date_time=_EPOCH)
                member.create_system, member.external_attr = 3, _PLAIN_FILE
                member.file_size = (folder / name).stat().st_size
                with (folder / name).open("rb") as source, packed.open(member, "w") as stream:
                    shutil.copyfileobj(source, stream, _CHUNK_BYTES)
        unfinished.replace(archive)
    return archive


def unpack(archive: Path, target: Path, *, shape: Shape) -> Path:
    """Write what the file `archive` holds to the new folder `target`; returns `target`, unverified.

    Raises:
        ArchiveRefused: it is not what `pack` writes for this shape, or `target` exists.
    """
    if target.exists():
        raise ArchiveRefused(f"{target} exists. Unpack {archive.name} into a new folder.")
    size_bytes = archive.stat().st_size if archive.is_file() else 0
    if not 0 < size_bytes <= shape.most_bytes:
        raise ArchiveRefused(
            f"{archive} has {size_bytes} bytes; a {shape.noun}'s archive has between 1 and {shape.most_bytes}. "
            f"{shape.again}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
        unfinished = Path(scratch) / "new"
        unfinished.mkdir()
        try:
            with zipfile.ZipFile(archive) as packed:
                members = packed.infolist()
                _require_harmless(members, archive, shape=shape, size_bytes=size_bytes)
                for member in members:
                    _write(packed, member, unfinished / member.filename)
        except UNREADABLE_ZIP as error:
            raise ArchiveRefused(f"{archive} is no readable archive: {error}. {shape.again}") from error
        unfinished.rename(target)
    return target


def _require_harmless(members: list[zipfile.ZipInfo], archive: Path, *, shape: Shape, size_bytes: int) -> None:
    if len(members) > shape.most_members:
        raise ArchiveRefused(
            f"{archive} holds {len(members)} members, more than the {shape.most_members} allowed. {shape.again}"
        )
    if len({member.filename for member in members}) != len(members):
        raise ArchiveRefused(f"{archive} holds one name twice: which one was meant cannot be known. {shape.again}")
    for member in members:
        _require_plain(member, archive, shape=shape)
    total_bytes = sum(member.file_size for member in members)
    if total_bytes > size_bytes:
        raise ArchiveRefused(
            f"{archive} has {size_bytes} bytes and claims to hold {total_bytes}: its members overlap. {shape.again}"
        )


def _require_plain(member: zipfile.ZipInfo, archive: Path, *, shape: Shape) -> None:
    name = member.orig_filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise ArchiveRefused(f"{archive} holds {name!r}, a path that leads out of the {shape.noun}. {shape.again}")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ArchiveRefused(f"{archive} holds {name!r}, a link or special file. {shape.again}")
    if name != member.filename or not shape.allowed(name):
        raise ArchiveRefused(f"{archive} holds {name!r}, which no {shape.noun} has. {shape.again}")
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size or member.flag_bits & 1:
        raise ArchiveRefused(
            f"{archive} holds {name!r} compressed or encrypted ({member.compress_size} bytes that become "
            f"{member.file_size}); a {shape.noun}'s members are stored as they are. {shape.again}"
        )
    limit_bytes = shape.largest_bytes(name)
    if member.file_size > limit_bytes:
        raise ArchiveRefused(
            f"{archive} holds {name!r} with {member.file_size} bytes, more than the {limit_bytes} allowed. "
            f"{shape.again}"
        )


def _write(packed: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with packed.open(member) as source, os.fdopen(descriptor, "wb") as stream:
        shutil.copyfileobj(source, stream, _CHUNK_BYTES)
