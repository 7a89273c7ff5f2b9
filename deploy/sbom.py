"""A bill of materials of the locks, CycloneDX 1.6 in JSON, made without a network.

    python deploy/sbom.py build/sbom.json

Belongs here: what is pinned, with the hashes of the files that may be installed, and the licence and the needs that the
installed package states. Does not belong: known vulnerabilities (`make audit` asks a service for them).

The same locks in the same environment give the same bytes: no time and no random serial number is in it.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements.torch.lock")
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s\\]+)(?P<hashes>(?: \\\n +--hash=\S+)*)", re.MULTILINE
)
_LONGEST_LICENCE = 100  # some packages put the whole text into the field


class Pin(NamedTuple):
    """One package of a lock."""

    name: str
    version: str
    sha256: tuple[str, ...]


def pins(lock: str) -> Iterator[Pin]:
    """Every pin of a lock's text, names as PEP 503 compares them."""
    for found in _PIN.finditer(lock):
        yield Pin(normalised(found["name"]), found["version"], tuple(re.findall(r"sha256:(\w{64})", found["hashes"])))


def normalised(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(found: list[Pin]) -> str:
    """The document about these pins."""
    parts = {pin.name: _component(pin) for pin in found}
    whole = Component(name="eth-pipeline", type=ComponentType.APPLICATION, bom_ref="eth-pipeline")
    bom = Bom(components=parts.values())
    bom.metadata.component = whole
    bom.register_dependency(whole, parts.values())
    for name, part in parts.items():
        bom.register_dependency(part, [parts[need] for need in sorted(_needs(name)) if need in parts])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=2) + "\n"


def _component(pin: Pin) -> Component:
    return Component(
        name=pin.name,
        version=pin.version,
        purl=(purl := PackageURL("pypi", name=pin.name, version=pin.version)),
        bom_ref=str(purl),
        type=ComponentType.LIBRARY,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pin.sha256],
        licenses=[DisjunctiveLicense(name=licence)] if (licence := _licence(pin.name)) else [],
    )


def _licence(name: str) -> str | None:
    """What the installed package says; None where it is not installed or says nothing short."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classified = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    said = about.get("License-Expression") or ", ".join(classified) or about.get("License") or ""
    return said if 0 < len(said) <= _LONGEST_LICENCE else None


def _needs(name: str) -> set[str]:
    """Names of what the installed package requires in this environment, extras left out."""
    try:
        stated = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return set()
    wanted = (Requirement(text) for text in stated)
    return {normalised(need.name) for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})}


def main() -> None:
    """Write the file that the argument names."""
    found = [pin for lock in LOCKS for pin in pins((ROOT / lock).read_text(encoding="utf-8"))]
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(bill(found), encoding="utf-8")
    sys.stdout.write(f"{len(found)} components in {target}\n")


if __name__ == "__main__":
    main()
