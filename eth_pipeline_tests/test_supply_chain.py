"""The locks and what is made of them: whatever is installed has a known hash, and the bill of materials says so."""

import hashlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
TORCH_LOCK = (ROOT / "requirements.torch.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def script(name: str) -> ModuleType:
    """A file of `deploy/` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SBOM = script("sbom")
TORCH = script("torch_lock")


def test_every_pin_of_both_locks_has_a_hash() -> None:
    pins = [*SBOM.pins(LOCK), *SBOM.pins(TORCH_LOCK)]
    lines = [
        line for line in (LOCK + TORCH_LOCK).splitlines() if line and not line.lstrip().startswith(("#", "--hash="))
    ]
    assert len(pins) == len(lines) > 200
    assert [pin.name for pin in pins if not pin.sha256] == []


def test_whatever_the_project_asks_for_is_locked() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    wanted += PROJECT["optional-dependencies"]["postgres"]
    names = {SBOM.normalised(re.split(r"[\[=<>;~! ]", text)[0]) for text in wanted}
    locked = {pin.name for pin in [*SBOM.pins(LOCK), *SBOM.pins(TORCH_LOCK)]}
    assert names - locked == set()
    assert {"pip", "setuptools"} <= locked, (
        "with hashes pip installs nothing that is not pinned, its own needs included"
    )


def test_torch_stands_in_its_own_lock_alone() -> None:
    """In the lock with hashes, pip took the CUDA build and gigabytes of libraries where a CPU build was offered."""
    assert "torch" not in {pin.name for pin in SBOM.pins(LOCK)}
    (torch,) = SBOM.pins(TORCH_LOCK)
    assert f"torch=={torch.version}" in PROJECT["dependencies"]
    assert len(torch.sha256) > 20, "both builds: the index's for every platform, and the CPU one"


def test_set_up_installs_nothing_without_a_known_hash_but_the_libraries_that_verified_torch_names() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"\$\(PIP\) install (.+)", makefile)
    assert len(installs) == 5
    bare = [line for line in installs if "--require-hashes" not in line]
    assert bare == ["--quiet --no-compile $(TORCH)", "--quiet --no-deps --no-build-isolation --editable ."]
    assert installs.index(bare[0]) > installs.index("--quiet --no-compile --require-hashes -r requirements.lock")


def test_set_up_begins_with_the_pip_of_the_lock() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (cut,) = re.findall(r"^\t(sed .+) >build/setup/pip.lock$", makefile, flags=re.MULTILINE)
    asked = subprocess.run(shlex.split(cut), cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    (pin,) = SBOM.pins(asked)
    assert (pin.name, bool(pin.sha256)) == ("pip", True)
    assert pin in SBOM.pins(LOCK)
    assert makefile.index("-r build/setup/pip.lock") < makefile.index("$(PIP) download")


def test_no_folder_that_the_checkout_lies_in_keeps_the_packages_from_being_compiled() -> None:
    (left_out,) = re.findall(r"compileall .* -x '([^']+)'", (ROOT / "Makefile").read_text())
    packages = "/home/me/tests/eth_pipeline/.venv/lib/python3.11/site-packages"
    assert re.search(left_out, f"{packages}/polars/lit.py") is None
    assert re.search(left_out, f"{packages}/pandas/tests/test_frame.py")


def test_the_lock_of_torch_knows_what_was_offered_and_keeps_what_it_knew(tmp_path: Path) -> None:
    (tmp_path / "torch-9.1+cpu-cp311-cp311-linux_x86_64.whl").write_bytes(b"wheel")
    (tmp_path / "torch-9.0-cp311-cp311-linux_x86_64.whl").write_bytes(b"older")
    (tmp_path / "torchvision-9.1-cp311-cp311-linux_x86_64.whl").write_bytes(b"other")
    assert TORCH.offered(tmp_path, "9.1") == {hashlib.sha256(b"wheel").hexdigest()}
    lock = tmp_path / "lock"
    lock.write_text(f"# head\ntorch==9.1 \\\n    --hash=sha256:{'a' * 64}\n")
    assert TORCH.kept(lock, "9.1") == {"a" * 64}
    assert TORCH.kept(lock, "9.2") == set(), "hashes of another version are no hashes of this one"
    assert TORCH.kept(tmp_path / "absent", "9.1") == set()


def test_the_version_of_torch_is_read_from_the_project() -> None:
    assert TORCH.pinned_version('x = [\n  "torch==2.13.0",\n]') == "2.13.0"
    with pytest.raises(SystemExit, match="Pin torch exactly"):
        TORCH.pinned_version('x = ["torch>=2"]')


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The document, made twice; its process cannot reach a network."""
    made = []
    for name in ("one", "two"):
        target = tmp_path_factory.mktemp("sbom") / f"{name}.json"
        guard = "import socket, runpy, sys; socket.socket.connect = None; sys.argv = sys.argv[1:]; "
        code = guard + "runpy.run_path(sys.argv[0], run_name='__main__')"
        command = [sys.executable, "-c", code, str(ROOT / "deploy" / "sbom.py"), str(target)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made.append(target.read_text())
    return made[0], made[1]


def test_the_bill_of_materials_names_every_pin_with_its_hashes_and_needs(bill: tuple[str, str]) -> None:
    document = json.loads(bill[0])
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {
        part["name"]: (part["version"], tuple(sorted(each["content"] for each in part["hashes"])))
        for part in document["components"]
    }
    pins = [*SBOM.pins(LOCK), *SBOM.pins(TORCH_LOCK)]
    assert found == {pin.name: (pin.version, tuple(sorted(pin.sha256))) for pin in pins}
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    (torch,) = (ref for ref in needs if ref.startswith("pkg:pypi/torch@"))
    assert any(ref.startswith("pkg:pypi/sympy@") for ref in needs[torch])
    assert len(needs["eth-pipeline"]) == len(pins)
    licensed = [part for part in document["components"] if part.get("licenses")]
    assert len(licensed) > 0.8 * len(pins)


def test_the_same_locks_give_the_same_bill(bill: tuple[str, str]) -> None:
    assert bill[0] == bill[1]
