"""Write requirements.torch.lock: torch's version with the hashes of every build of it that may be installed.

    python deploy/torch_lock.py requirements.torch.lock build/torch

Belongs here: that one file. Does not belong: every other pin (`requirements.lock`, written by pip-compile).

torch has a lock of its own because pip cannot choose between its builds by hash. The CPU build has a local version
(`2.13.0+cpu`), so pip takes it where a machine offers it; but where a lock has hashes, pip prefers whatever the index
lists with one of them, which is the CUDA build with gigabytes of libraries. So `make setup` lets pip choose without
hashes, and installs what it chose only if its hash is here.

Known are: what the package index publishes for the version, what lies in the folder (what this machine was offered),
and what the file held before for the same version (what other machines were offered).
"""

import hashlib
import json
import re
import sys
import urllib.request
from pathlib import Path

_INDEX = "https://pypi.org/simple/torch/"
_PIN = re.compile(r'"torch==(?P<version>[0-9.]+)"')
_HEAD = (
    "# Every build of torch that may be installed. Written by `make lock`; deploy/torch_lock.py says why it is apart.\n"
)


def pinned_version(project: str) -> str:
    """The version that pyproject.toml asks for."""
    found = _PIN.search(project)
    if found is None:
        raise SystemExit('pyproject.toml has no line "torch==VERSION", so there is nothing to lock. Pin torch exactly.')
    return found["version"]


def published(version: str) -> set[str]:
    """sha256 of every file of torch `version` on the package index."""
    asked = urllib.request.Request(_INDEX, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  # nosec B310  # a literal https address
        files = json.load(answer)["files"]
    return {file["hashes"]["sha256"] for file in files if file["filename"].startswith(f"torch-{version}-")}


def offered(folder: Path, version: str) -> set[str]:
    """sha256 of every wheel of torch `version`, whatever its local version, that lies in a folder."""
    wheels = [path for path in folder.glob("torch-*.whl") if path.name.split("-")[1].partition("+")[0] == version]
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}


def kept(path: Path, version: str) -> set[str]:
    """The hashes that a lock of the same version holds already."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text)) if f"\ntorch=={version} " in text else set()


def main() -> None:
    """Write the file; the arguments are its path and the folder of wheels."""
    lock, folder = Path(sys.argv[1]), Path(sys.argv[2])
    version = pinned_version((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    hashes = sorted(published(version) | offered(folder, version) | kept(lock, version))
    lines = [f"torch=={version}", *(f"    --hash=sha256:{digest}" for digest in hashes)]
    lock.write_text(_HEAD + " \\\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
