"""The runtime manifest: which code, configuration, packages and data versions are running, and where.

Belongs here: collecting and writing the manifest. Does not belong: the model bundle's own provenance
(`contracts.artifact`), since when which process runs (`processes`) or judging whether the host is healthy (`health`).
"""

import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ConfigDict

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings

_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGES = ("dagster", "mlflow", "polars", "deltalake", "lightgbm", "onnxruntime", "torch", "model-signing")


@dataclass(frozen=True)
class CodeVersion:
    """Which code it is.

    Attributes:
        commit: of the checkout the package runs from; `unknown` where it was installed from a wheel.
        files_digest: sha256 of the package's files, which tells two dirty states of one commit apart.
    """

    commit: str
    dirty: bool
    package_version: str
    files_digest: str


@dataclass(frozen=True)
class Manifest:
    """What is running; `config_digest` names the expanded settings, `lock_digest` the pinned environment."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # for the published schema of the log's lines

    written_at: str
    code: CodeVersion
    config_digest: str
    lock_digest: str
    bundle_fingerprint: str | None
    model_version: str | None
    packages: dict[str, str]
    table_versions: dict[str, int]
    phase: str
    provenance: str
    host: str
    python: str

    def as_dict(self) -> dict[str, object]:
        """JSON types."""
        return asdict(self)

    def run_tags(self) -> dict[str, str]:
        """The part that goes onto every Dagster run as tags."""
        return {
            "eth_pipeline/commit": self.code.commit[:12] + ("-dirty" if self.code.dirty else ""),
            "eth_pipeline/config": self.config_digest[:12],
            "eth_pipeline/bundle": (self.bundle_fingerprint or "none")[:12],
            "eth_pipeline/phase": self.phase,
            "eth_pipeline/provenance": self.provenance,
        }


@functools.cache
def code_version() -> CodeVersion:
    """The running code; read once per process, since what changes on disk later is not what runs."""
    return code_on_disk()


def code_on_disk() -> CodeVersion:
    """The code that a process started now would run."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return CodeVersion(
        commit=commit or "unknown",
        dirty=bool(status),
        package_version=_installed("eth-pipeline"),
        files_digest=folder_digest(_PACKAGE),
    )


def folder_digest(folder: Path) -> str:
    """sha256 over names and contents of all files below `folder` but compiled code."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def lock_digest() -> str:
    """sha256 of the installed versions of every distribution: the environment that really runs."""
    installed = (found.metadata for found in importlib.metadata.distributions())  # parsed anew whenever it is asked for
    versions = {f"{known['Name']}=={known['Version']}" for known in installed if known["Name"]}
    return hashlib.sha256("\n".join(sorted(versions)).encode()).hexdigest()


def table_versions(lake: Lake, tables: tuple[TableContract, ...]) -> dict[str, int]:
    """Delta version of every table that exists."""
    found = {table.name: lake.version(table) for table in tables}
    return {name: version for name, version in found.items() if version is not None}


def collect_manifest(
    settings: Settings,
    *,
    now: datetime,
    provenance: str,
    versions: dict[str, int],
    bundle_fingerprint: str | None = None,
    model_version: str | None = None,
) -> Manifest:
    """Everything that says what runs here, at `now`."""
    return Manifest(
        written_at=iso(now),
        code=code_version(),
        config_digest=settings.digest(),
        lock_digest=lock_digest(),
        bundle_fingerprint=bundle_fingerprint,
        model_version=model_version,
        packages={name: _installed(name) for name in _PACKAGES},
        table_versions=versions,
        phase=settings.phase,
        provenance=provenance,
        host=platform.node(),
        python=platform.python_version(),
    )


def write_manifest(manifest: Manifest, *, folder: Path) -> Path:
    """Write `runtime_manifest.json` atomically and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "runtime_manifest.json"
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps(manifest.as_dict(), indent=2, sort_keys=True) + "\n")
    draft.replace(path)
    return path


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # nosec B607  # arguments are literals of this module
            ["git", "-C", str(root), *arguments],  # noqa: S607  # git is found by PATH as everywhere
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@functools.cache
def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
