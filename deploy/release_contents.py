"""Is everything in the distributions, and nothing else: `python deploy/release_contents.py dist [--installed FOLDER]`.

Belongs here: what the wheel, the source distribution and an installation of the latter must hold. Does not belong:
building and installing them (`release_check.sh`).
"""

import argparse
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "eth_pipeline/"
UNPACKED_BY_HAND = (".github/", ".gitignore", ".pre-commit-config.yaml")
"""Files of the repository's own workshop, which no user of a source distribution needs."""


def tracked() -> set[str]:
    """Files of the repository, as git knows them."""
    listed = subprocess.run(  # nosec B607  # the developer's git, by PATH as everywhere
        ["git", "ls-files"],  # noqa: S607  # the same
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\n") if name and not name.startswith(UNPACKED_BY_HAND)}


def problems(folder: Path, installed: Path | None) -> list[str]:
    """What is missing or too much, a sentence each."""
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    files = tracked()
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        fields = BytesParser(policy=default).parsebytes(archive.read(metadata))
        (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        has_command = b"eth-pipeline = " in archive.read(entries)
    wanted = {name for name in files if name.startswith(PACKAGE)}
    with tarfile.open(source) as archive_of_source:
        unpacked = {name.partition("/")[2] for name in archive_of_source.getnames()}
    found = [f"{name} is not in the wheel. Add it to package-data." for name in sorted(wanted - inside)]
    found += [f"{name} is in the wheel and not in the repository." for name in sorted(inside - wanted)]
    found += [f"{name} is not in the source distribution. Add it to MANIFEST.in." for name in sorted(files - unpacked)]
    found += [f"The metadata has no {name}." for name in ("Version", "License-Expression") if not fields[name]]
    if not has_command:
        found.append("The wheel has no command `eth-pipeline`.")
    if fields["Description-Content-Type"] != "text/markdown" or len(fields.get_content()) < 1_000:
        found.append("The metadata has no description; `readme` of pyproject.toml names a file that is not there.")
    version = str(fields["Version"])
    if f"## {version}" not in (REPOSITORY / "CHANGELOG.md").read_text():
        found.append(f"CHANGELOG.md has no section of {version}.")
    if installed is not None:
        there = {p.relative_to(installed).as_posix() for p in (installed / PACKAGE).rglob("*") if p.is_file()}
        there = {name for name in there if "__pycache__" not in name}
        found += [f"{name} is installed from the wheel only." for name in sorted(inside - there)]
        found += [f"{name} is installed from the source distribution only." for name in sorted(there - inside)]
    return found


def main() -> None:
    """Print what is wrong; exit 1 when something is."""
    options = argparse.ArgumentParser(description="Compare the distributions with the repository.")
    options.add_argument("folder", type=Path, help="Where the wheel and the source distribution lie, one of each.")
    options.add_argument(
        "--installed", type=Path, help="site-packages into which the source distribution was installed."
    )
    chosen = options.parse_args()
    if wrong := problems(chosen.folder, chosen.installed):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
