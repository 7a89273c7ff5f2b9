"""The public archive: verified download of its files, and the copies kept on disk.

Belongs here: `.CHECKSUM`, sha256 before anything is parsed, parallel download. Does not belong: which files there are
(`exchange.formats.archive_files`), what is in one (`exchange.formats.bars`, `exchange.formats.funding`,
`exchange.formats.open_interest`), which are wanted (`ingest`).

The archive replaces files later. So every file is kept with its sha256 and Last-Modified beside it; one whose
published sha256 equals the kept one is not fetched again, and a replaced one stays beside its successor.
"""

import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from eth_pipeline.contracts.unreadable_zip import UNREADABLE_ZIP
from eth_pipeline.errors import ChecksumMismatch, ContractViolation, RequestRefused
from eth_pipeline.exchange.formats.archive_files import ArchiveFile
from eth_pipeline.exchange.http.transport import Transport

MAX_MEMBER_BYTES = 256 * 2**20
"""Unpacked size of a file; the largest that is read, a month of 15-minute bars, has about half a megabyte."""

_NOT_USED = "The file was not used; its rows are asked for through the other door."
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Opened:
    """What became of one wanted file: rows, or why there are none; `replaced` is the sha256 of an older kept one."""

    file: ArchiveFile
    rows: pl.DataFrame | None
    refusal: Exception | None = None
    replaced: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the file was not used, in words; None where it was, or is not published."""
        return None if self.refusal is None else str(self.refusal)

    @property
    def is_published(self) -> bool:
        """False for a 404; a published file may still have been refused."""
        return self.rows is not None or self.refusal is not None


Read = Callable[[bytes, ArchiveFile], pl.DataFrame]


class Archive:
    """Verified archive files, kept below `folder`."""

    def __init__(self, transport: Transport, folder: Path, *, parallel_downloads: int) -> None:
        self._transport = transport
        self._folder = folder
        self._parallel_downloads = parallel_downloads

    def open_all(self, files: Sequence[ArchiveFile], read: Read) -> Iterator[Opened]:
        """Download, verify and parse `files`, in order, several at once; only parsed rows stay in memory.

        A refused file (wrong checksum, no zip, rows of the wrong shape) is reported, not raised: the other door
        may have its rows.

        Raises:
            RetryLater: the archive does not answer; files already yielded are good.
            RegionRestricted: the archive refuses this address.
        """
        if not files:
            return
        # The first file goes alone: when the breaker is half open it is the probe, and the rest must not race it.
        yield self._open(files[0], read)
        with ThreadPoolExecutor(self._parallel_downloads, thread_name_prefix="archive") as pool:
            waiting: list[Future[Opened]] = [pool.submit(self._open, file, read) for file in files[1:]]
            try:
                for future in waiting:
                    yield future.result()
            finally:
                for future in waiting:
                    future.cancel()

    def _open(self, file: ArchiveFile, read: Read) -> Opened:
        kept_before = self.kept_sha256(file)
        try:
            content = self.fetch(file)
            if content is None:
                return Opened(file, None)
            rows = read(_only_member(content, file), file)
            is_other = kept_before is not None and kept_before != hashlib.sha256(content).hexdigest()
            return Opened(file, rows, replaced=kept_before if is_other else None)
        except (ChecksumMismatch, ContractViolation, RequestRefused) as error:
            return Opened(file, None, error)

    def kept_sha256(self, file: ArchiveFile) -> str | None:
        """Digest of the kept copy of `file`; None without one."""
        note = (self._folder / file.key).with_suffix(".json")
        try:
            return str(json.loads(note.read_text())["sha256"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def kept_names(self, folder: str) -> list[str]:
        """Names of the files kept below `folder` of the archive, the current version of each, sorted."""
        notes = (self._folder / folder).glob("*.json")
        return sorted(f"{note.stem}.zip" for note in notes if "." not in note.stem and not note.name.startswith("."))

    def is_replaced(self, file: ArchiveFile) -> bool:
        """Whether the archive by now publishes another sha256 than the kept copy has; one small request.

        Raises:
            RetryLater, RegionRestricted: as `Transport.get_file`.
        """
        checksum = self._transport.get_file(f"{file.key}.CHECKSUM")
        kept = self.kept_sha256(file)
        if checksum is None or kept is None:
            return False
        try:
            return _published_sha256(checksum.content, file) != kept
        except ChecksumMismatch:
            return False

    def fetch(self, file: ArchiveFile) -> bytes | None:
        """The verified bytes of `file`, from disk where it is unchanged; None where it is not published.

        Raises:
            ChecksumMismatch: twice in a row the bytes were not what the .CHECKSUM says.
            RetryLater, RegionRestricted: as `Transport.get_file`.
        """
        wanted = got = ""
        for _ in range(2):  # a file replaced between the two requests mismatches once, never twice
            checksum = self._transport.get_file(f"{file.key}.CHECKSUM")
            if checksum is None:
                return None
            wanted = _published_sha256(checksum.content, file)
            if (kept := self._kept(file, wanted)) is not None:
                return kept
            remote = self._transport.get_file(file.key)
            if remote is None:
                return None
            got = hashlib.sha256(remote.content).hexdigest()
            if got == wanted:
                self._keep(file, remote.content, sha256=got, last_modified=remote.last_modified)
                return remote.content
        raise ChecksumMismatch(
            f"{file.key}: sha256 is {got[:12]}…, its .CHECKSUM says {wanted[:12]}…. The file was not used; its rows "
            "are asked for through the other door. If it stays so, the archive itself is wrong for this file."
        )

    def _kept(self, file: ArchiveFile, sha256: str) -> bytes | None:
        path = self._folder / file.key
        if not path.exists() or self.kept_sha256(file) != sha256:
            return None
        content = path.read_bytes()
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def _keep(self, file: ArchiveFile, content: bytes, *, sha256: str, last_modified: str | None) -> None:
        path = self._folder / file.key
        note = path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and (kept := self.kept_sha256(file)) not in (None, sha256):
            old = str(kept)[:12]
            with suppress(FileNotFoundError):  # another process keeps the same file just now
                path.replace(path.with_name(f"{path.stem}.{old}.zip"))
                note.replace(path.with_name(f"{path.stem}.{old}.json"))
        # The note goes last: without it, or with another sha256 in it, the file is fetched again.
        _write(path, content)
        _write(note, json.dumps({"key": file.key, "sha256": sha256, "last_modified": last_modified}).encode())


def _published_sha256(content: bytes, file: ArchiveFile) -> str:
    """The digest in `<sha256 hex>  <file name>`."""
    words = content.decode("ascii", errors="replace").split()
    if len(words) != 2 or not _SHA256.fullmatch(words[0]) or words[1] != file.name:
        raise ChecksumMismatch(f"{file.key}.CHECKSUM is not `<sha256>  {file.name}`: {content[:100]!r}. File not used.")
    return words[0].lower()


def _only_member(content: bytes, file: ArchiveFile) -> bytes:
    """Bytes of the one member of a zip, whatever it is called: no name of it ever becomes a path."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as bundle:
            members = bundle.infolist()
            if len(members) != 1:
                names = [member.filename for member in members[:3]]
                raise ContractViolation(f"{file.key} holds {len(members)} files instead of one: {names}. {_NOT_USED}")
            return _bounded(bundle, members[0], file)
    except UNREADABLE_ZIP as error:
        raise ContractViolation(f"{file.key} is no readable zip ({error}). {_NOT_USED}") from error


def _bounded(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, file: ArchiveFile) -> bytes:
    """Its bytes: no more than it says, and that is no more than the limit. Other packers than deflate know no bound."""
    if member.compress_type not in _PACKED_AS or member.file_size > MAX_MEMBER_BYTES:
        raise ContractViolation(
            f"{file.key} unpacks to {member.file_size} bytes by method {member.compress_type}; at most "
            f"{MAX_MEMBER_BYTES} bytes, stored or deflated, are read. {_NOT_USED}"
        )
    with bundle.open(member) as stream:
        return stream.read(member.file_size + 1)  # one more, so that the checksum is looked at


def _write(path: Path, content: bytes) -> None:
    """Replace `path` in one step; a reader sees the old bytes or the new ones."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        partial.write(content)
    Path(partial.name).replace(path)
