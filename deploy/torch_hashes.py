"""Write the torch line of a lock file with the hashes of both its builds: pip-compile knows only the one it resolved.

    python deploy/torch_hashes.py requirements.lock

The CPU build carries a local version (`2.13.0+cpu`) and is what a small machine should get where it is offered; the
package index has the CUDA builds. A lock with hashes must know all of them, whichever machine wrote it.
"""

import json
import re
import sys
import urllib.request
from pathlib import Path

_INDEX = "https://pypi.org/simple/torch/"
_TORCH = re.compile(r"^torch==(?P<version>[0-9.]+)\S* \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE)


def published(version: str) -> set[str]:
    """sha256 of every file of torch `version` on the package index."""
    asked = urllib.request.Request(_INDEX, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  # a literal https address
        files = json.load(answer)["files"]
    return {file["hashes"]["sha256"] for file in files if file["filename"].startswith(f"torch-{version}-")}


def with_both_builds(lock: str) -> str:
    """The lock with every known hash of torch, and without a local version."""
    found = _TORCH.search(lock)
    if found is None:
        raise SystemExit("The lock has no torch line with hashes. Write it with `make lock`.")
    known = set(re.findall(r"sha256:[0-9a-f]{64}", found["hashes"]))
    known |= {f"sha256:{digest}" for digest in published(found["version"])}
    lines = " \\\n".join(f"    --hash={digest}" for digest in sorted(known))
    return lock[: found.start()] + f"torch=={found['version']} \\\n{lines}\n" + lock[found.end() :]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_both_builds(path.read_text(encoding="utf-8")), encoding="utf-8")
