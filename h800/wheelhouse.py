"""An offline wheelhouse: every pin of the locks and this package as wheels in one folder, and the check of it.

Belongs here: building on a host with a network, checking on a node without one. Does not belong: installing. Uses the
standard library only, since the node that checks has nothing installed yet.

    python wheelhouse.py FOLDER --torch-index URL    build; the index has torch's CUDA builds
    python wheelhouse.py FOLDER --check              check; exit code 1 with a line for everything that is wrong

Build on the node's platform and Python: pip takes wheels for the interpreter that runs it, and of the lock's pins only
files that have one of its hashes. torch has a lock of its own beside it (deploy/torch_lock.py says why). Its CUDA
builds have a local version (`2.13.0+cu128`), which pip prefers over the plain one of the same pin; their hashes and
those of CUDA's libraries are in no lock: of what torch's index gave, SHA256SUMS says what was taken, not what is right.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"
TORCH_LOCK = "requirements.torch.lock"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;#\\]+)")


def pins(lock: Path) -> dict[str, str]:
    """Normalised name to version of every pin of a lock file."""
    found = (_PIN.match(line) for line in lock.read_text(encoding="utf-8").splitlines())
    return {normalised(pin["name"]): pin["version"] for pin in found if pin}


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wheels(folder: Path) -> dict[str, set[str]]:
    """Normalised name to the versions that lie in a folder, each without its local part too."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*.whl"):
        name, version = path.name.split("-")[:2]
        found.setdefault(normalised(name), set()).update({version, version.partition("+")[0]})
    return found


def torch_pins(lock: Path) -> dict[str, str]:
    """The pin of the lock that lies beside another: torch's."""
    return pins(lock.with_name(TORCH_LOCK))


def build(folder: Path, *, lock: Path, torch_index: str | None, project: Path | None, pip: Sequence[str]) -> None:
    """Fill the folder with a wheel for every pin, and with the project's own; then write the sums.

    Raises:
        subprocess.CalledProcessError: pip failed, also because a file has none of the lock's hashes; it has said why.
        SystemExit: torch has none of its lock's hashes, and no other index was named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--wheel-dir", str(folder)]
    subprocess.run([*command, "--requirement", str(lock), *pip], check=True)  # a list, no shell
    index = ["--extra-index-url", torch_index] if torch_index else []
    with tempfile.TemporaryDirectory() as temporary:
        versions = Path(temporary) / "versions.txt"  # the lock itself as a constraint would demand torch's hash
        versions.write_text("".join(f"{name}=={version}\n" for name, version in pins(lock).items()))
        bound = ["--constraint", str(versions), "--find-links", str(folder), *index]
        torch = [f"{name}=={version}" for name, version in torch_pins(lock).items()]
        subprocess.run([*command, *torch, *bound, *pip], check=True)  # a list, no shell
    if torch_index is None:
        _require_known(folder, lock.with_name(TORCH_LOCK))
    if project is not None:
        subprocess.run([*command, "--no-deps", str(project), *pip], check=True)  # a list, no shell
    sums = [f"{sha256(path)}  {path.name}" for path in sorted(folder.glob("*.whl"))]
    (folder / SUMS).write_text("\n".join(sums) + "\n", encoding="utf-8")


def _require_known(folder: Path, torch_lock: Path) -> None:
    known = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", torch_lock.read_text(encoding="utf-8")))
    names = pins(torch_lock)
    for path in sorted(folder.glob("*.whl")):
        if normalised(path.name.split("-")[0]) in names and sha256(path) not in known:
            raise SystemExit(
                f"{path.name} has none of the hashes in {torch_lock.name}, so nobody vouches for it. Name the index it "
                "should come from (--torch-index), or look where pip found it (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL)."
            )


def faults(folder: Path, *, lock: Path) -> list[str]:
    """Everything that is wrong with a wheelhouse, one sentence each; empty where nothing is."""
    if not folder.is_dir():
        return [f"There is no folder {folder}. Build it on a host with a network: build_wheelhouse.sh {folder}"]
    there = wheels(folder)
    found = [
        f"{name}=={version} is not there ({', '.join(sorted(there.get(name, ()))) or 'no version of it'}). Build again."
        for name, version in (pins(lock) | torch_pins(lock)).items()
        if version not in there.get(name, set())
    ]
    if not (folder / SUMS).is_file():
        return [*found, f"There is no {SUMS}, so nothing says that the files arrived whole. Build again."]
    lines = (folder / SUMS).read_text(encoding="utf-8").split("\n")
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines if line)}
    present = {path.name: path for path in folder.glob("*.whl")}
    found += [f"{name} is listed in {SUMS} and not there. Copy it again." for name in sorted(sums.keys() - present)]
    found += [f"{name} is there and not listed in {SUMS}. Remove it." for name in sorted(present.keys() - sums)]
    changed = (name for name in sorted(present.keys() & sums) if sha256(present[name]) != sums[name])
    return [*found, *(f"{name} is not the file that was built. Copy it again." for name in changed)]


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> int:
    """Read the arguments and do one of the two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="check the folder instead of building it")
    lock = REPOSITORY / "requirements.lock"
    parser.add_argument("--lock", type=Path, default=lock, help=f"the lock; {TORCH_LOCK} lies beside it")
    parser.add_argument("--torch-index", help="extra index with torch's CUDA builds")
    parser.add_argument("--lock-only", action="store_true", help="leave this package out")
    parser.add_argument("--pip", action="append", default=[], help="further argument of pip wheel; may be repeated")
    asked = parser.parse_args()
    if not asked.check:
        project = None if asked.lock_only else REPOSITORY
        build(asked.folder, lock=asked.lock, torch_index=asked.torch_index, project=project, pip=asked.pip)
    wrong = faults(asked.folder, lock=asked.lock)
    for line in wrong:
        sys.stderr.write(line + "\n")
    if not wrong:
        sys.stdout.write(f"{len(pins(asked.lock) | torch_pins(asked.lock))} pins are in {asked.folder}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
