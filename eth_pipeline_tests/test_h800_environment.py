"""What brings a node up: the wheelhouse, the container file, the check of the host, the smoke test."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from eth_pipeline.errors import NeedsHuman
from eth_pipeline.operations.plan.smoke import smoke_test

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "h800"


def wheel(folder: Path, name: str, version: str) -> Path:
    """The smallest wheel that pip takes."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def wheelhouse(folder: Path, lock: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The builder, or its check, by the script that a person calls."""
    return subprocess.run(
        [str(SCRIPTS / "build_wheelhouse.sh"), str(folder), "--lock", str(lock), *arguments],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Pins as pip-compile writes them, torch's stand-in in its own lock and with a local version, an index with all."""
    tiny, other = wheel(tmp_path / "index", "tiny_part", "1.2"), wheel(tmp_path / "index", "other", "3")
    wheel(tmp_path / "index", "heavy", "2.0+cu128")
    heavy = wheel(tmp_path / "index", "heavy", "2.0")
    path = tmp_path / "requirements.lock"
    path.write_text(
        f"# by a tool\nTiny.Part==1.2 \\\n{hashes(tiny)}\n    # via nothing\n"
        f"other[extra]==3 ; python_version > '3' \\\n{hashes(other)}\n"
    )
    (tmp_path / "requirements.torch.lock").write_text(f"# by us\nheavy==2.0 \\\n{hashes(heavy)}\n")
    return path


def hashes(path: Path) -> str:
    """The line that follows a pin."""
    return f"    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def built(folder: Path, lock: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    index = f"--find-links={lock.parent / 'index'}"
    return wheelhouse(folder, lock, "--lock-only", "--pip=--no-index", f"--pip={index}", *arguments)


def test_a_wheelhouse_holds_every_pin_and_the_cuda_build_of_torch(tmp_path: Path, lock: Path) -> None:
    house = tmp_path / "house"
    done = built(house, lock, "--torch-index", (tmp_path / "index").as_uri())
    assert done.returncode == 0, done.stderr
    assert {path.name for path in house.glob("*.whl")} == {
        "tiny_part-1.2-py3-none-any.whl",
        "other-3-py3-none-any.whl",
        "heavy-2.0+cu128-py3-none-any.whl",
    }
    checked = wheelhouse(house, lock, "--check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_wheel_without_a_hash_of_the_lock_is_not_taken(tmp_path: Path, lock: Path) -> None:
    with zipfile.ZipFile(tmp_path / "index" / "other-3-py3-none-any.whl", "a") as archive:
        archive.writestr("stowaway.py", "")
    done = built(tmp_path / "house", lock)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "house" / "SHA256SUMS").exists()


def test_a_build_of_torch_that_nobody_vouches_for_needs_its_index_named(tmp_path: Path, lock: Path) -> None:
    """The index of the CUDA builds has files that no lock knows; a folder that pip happens to look into has too."""
    refused = built(tmp_path / "house", lock)
    assert refused.returncode == 1
    assert "heavy-2.0+cu128-py3-none-any.whl has none of the hashes" in refused.stderr
    assert "--torch-index" in refused.stderr


def test_a_wheelhouse_that_is_not_whole_is_refused_by_name(tmp_path: Path, lock: Path) -> None:
    house = tmp_path / "house"
    assert wheelhouse(house, lock, "--check").returncode == 1
    assert built(house, lock, "--torch-index", (tmp_path / "index").as_uri()).returncode == 0
    (house / "heavy-2.0+cu128-py3-none-any.whl").write_bytes(b"torn")
    wheel(house, "stowaway", "1.0")
    lock.write_text(lock.read_text() + "absent==3.1\ntiny-part==1.3\n")
    said = wheelhouse(house, lock, "--check")
    assert said.returncode == 1
    for text in ("absent==3.1 is not there", "heavy-2.0+cu128", "stowaway", "tiny-part==1.3 is not there (1.2)"):
        assert text in said.stderr


def test_the_check_needs_nothing_installed(tmp_path: Path, lock: Path) -> None:
    """It runs on the node before anything is installed there."""
    command = [
        sys.executable,
        "-I",
        "-S",
        str(SCRIPTS / "wheelhouse.py"),
        str(tmp_path),
        "--check",
        "--lock",
        str(lock),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_every_line_of_the_real_lock_is_read_as_a_pin() -> None:
    text = (REPOSITORY / "requirements.lock").read_text()
    wanted = [line for line in text.splitlines() if line and not line.lstrip().startswith(("#", "--hash="))]
    script = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import wheelhouse; from pathlib import Path\n"
    script += f"print(len(wheelhouse.pins(Path({str(REPOSITORY / 'requirements.lock')!r}))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == len(wanted) > 100


def test_the_container_is_built_from_what_is_there_and_runs_as_nobody_special() -> None:
    text = (SCRIPTS / "Containerfile").read_text()
    for source in re.findall(r"^COPY (\S+) ", text, flags=re.MULTILINE):
        assert (REPOSITORY / source).exists(), source
    (entry,) = re.findall(r'^ENTRYPOINT \["/opt/eth-pipeline/(.+?)"\]', text, flags=re.MULTILINE)
    assert os.access(REPOSITORY / entry, os.X_OK)
    assert re.search(r"^USER eth-pipeline$", text, flags=re.MULTILINE)
    installs = re.findall(r"pip install.*", text)
    assert installs
    assert all("--no-index" in line for line in installs), "a node may have no network"


@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_a_script_stops_at_the_first_error_and_holds_no_logic(name: str) -> None:
    lines = [line for line in (SCRIPTS / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert len(lines) == 2
    assert lines[1].startswith("exec ")


def test_a_host_without_a_gpu_is_refused_and_told_why(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ETH_PIPELINE_COMMAND": str(Path(sys.executable).parent / "eth-pipeline"),
        "CUDA_VISIBLE_DEVICES": "",
        **{f"ETH_PIPELINE_EXCHANGE__{door}_URL": "http://127.0.0.1:9" for door in ("FUTURES", "SPOT", "ARCHIVE")},
        "ETH_PIPELINE_EXCHANGE__ATTEMPTS": "1",
    }
    command = [str(SCRIPTS / "preflight.sh"), "--scale", "tiny", "--home", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout)
    by_name = {check["name"]: check for check in said["checks"]}
    assert said["fit"] is False
    assert not by_name["torch sees the GPU"]["passed"]
    assert "CUDA" in by_name["torch sees the GPU"]["detail"]
    assert by_name["clock"] == {**by_name["clock"], "passed": False, "required": False}
    assert "torch sees the GPU: torch" in done.stderr


def test_every_kind_of_model_learns_exports_and_agrees_with_its_export() -> None:
    results = {result.algorithm: result for result in smoke_test(device="cpu", hours=1_500, epochs=3)}
    assert set(results) == {"lstm", "tft", "lightgbm"}
    for result in results.values():
        assert result.passed, result
        assert result.parity_max_abs_difference <= result.parity_tolerance
        assert result.device == "cpu"


def test_a_smoke_test_says_when_it_can_say_nothing() -> None:
    with pytest.raises(NeedsHuman, match="too few"):
        smoke_test(device="cpu", hours=100, epochs=1)
