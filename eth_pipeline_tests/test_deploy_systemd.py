"""The service units: valid, hardened, and about commands and ports that exist."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer
import yaml

from eth_pipeline.cli import app
from eth_pipeline.settings import load_settings

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
UNITS = sorted(path.name for path in FOLDER.glob("eth-pipeline*"))
PROGRAMS = ("dagster", "dagster-daemon", "dagster-webserver", "mlflow", "eth-pipeline")
EXPOSURE = 20  # tenths: 2.0 of 10; systemd calls everything below 5 well protected


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def values(name: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text(name), flags=re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as on a host where the package is installed."""
    for program in PROGRAMS:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    for name in UNITS:
        (tmp_path / name).write_text(text(name).replace("/opt/eth-pipeline/bin", str(tmp_path)))
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on PATH; the units are only parsed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_finds_nothing_to_complain_about(installed: Path) -> None:
    answer = analyze("verify", "--man=no", *[str(installed / name) for name in UNITS])
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(installed: Path, name: str) -> None:
    answer = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", str(installed / name))
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_writes_below_its_home_only_and_runs_as_nobody_special(name: str) -> None:
    parsed = ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # keys of units tell upper from lower case
    parsed.read_string(text(name))
    service = parsed["Service"]
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "/var/lib/eth-pipeline"
    assert service["User"] == "eth-pipeline"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("name", [name for name in SERVICES if "--host" in text(name) or " -h " in text(name)])
def test_what_listens_listens_on_loopback(name: str) -> None:
    (command,) = values(name, "ExecStart")
    assert re.search(r"(--host|-h) 127\.0\.0\.1", command)


SECRET = re.compile(
    r"://(?!127\.0\.0\.1[:/]|/)|\b(token|password|passwd|secret|\w*key|\w*uri|\w*url)(=| [^-])", re.IGNORECASE
)


@pytest.mark.parametrize("name", SERVICES)
def test_no_command_line_has_room_for_a_secret(name: str) -> None:
    """`ps` shows every user the URI of a database with its password; an environment it does not show."""
    for key in ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecReload"):
        assert [line for line in values(name, key) if SECRET.search(line)] == []


def test_what_counts_as_a_secret_on_a_command_line() -> None:
    for shown in ("--backend-store-uri sqlite:////x", "--x postgresql://u:p@db/x", "--token abc", "--api-key=abc"):
        assert SECRET.search(shown), shown
    for harmless in ("health --url-free", "--check http://127.0.0.1:5000/health", "start mlflow -- mlflow server"):
        assert not SECRET.search(harmless), harmless


def test_mlflow_has_its_database_from_the_environment_and_a_file_for_root_alone_may_change_it() -> None:
    """`up` starts MLflow by the same variable: that the server reads it is seen there."""
    unit = "eth-pipeline-mlflow.service"
    (default,) = [line for line in values(unit, "Environment") if line.startswith("MLFLOW_BACKEND_STORE_URI=")]
    assert default.endswith("=sqlite:////var/lib/eth-pipeline/mlflow/mlflow.db")
    assert "-/etc/eth-pipeline/mlflow_environment" in values(unit, "EnvironmentFile")


def test_every_command_of_a_unit_exists() -> None:
    lines = [line for name in SERVICES for key in ("ExecStart", "ExecStartPre") for line in values(name, key)]
    calls = [part.split() for line in lines for part in line.split(" -- ")]  # `start` is followed by what it becomes
    programs = [call[0].removeprefix("/opt/eth-pipeline/bin/") for call in calls]
    assert set(programs) == set(PROGRAMS)
    asked = {call[1] for call, program in zip(calls, programs, strict=True) if program == "eth-pipeline"}
    assert asked == {"start", "prepare", "health", "serve-model", "board", "deadman", "plan"}
    assert asked <= set(getattr(typer.main.get_command(app), "commands", {}))


@pytest.mark.parametrize("name", [name for name in SERVICES if "Type=exec" in text(name)])
def test_everything_that_stays_is_noted_by_the_name_of_its_unit(name: str) -> None:
    """`eth-pipeline manifest` can say since when it runs only if its start was noted."""
    (command,) = values(name, "ExecStart")
    unit = name.removeprefix("eth-pipeline-").removesuffix(".service")
    assert command.startswith(f"/opt/eth-pipeline/bin/eth-pipeline start {unit} -- /opt/eth-pipeline/bin/")


def test_the_daemon_is_started_after_a_health_check_that_can_refuse() -> None:
    (before,) = values("eth-pipeline-daemon.service", "ExecStartPre")
    assert not before.startswith("-"), "a minus would ignore the refusal"
    assert "health --before-start" in before


def test_the_switch_depends_on_nothing_that_it_watches() -> None:
    unit = text("eth-pipeline-deadman.service")
    assert not re.search(r"^(Requires|PartOf|BindsTo)=", unit, flags=re.MULTILINE)
    assert "eth-pipeline-daemon" not in unit
    assert values("eth-pipeline-deadman.timer", "OnCalendar") == ["*:0/5"]


def test_the_workspace_names_the_code_server_of_the_unit() -> None:
    (entry,) = yaml.safe_load(text("workspace.yaml"))["load_from"]
    (command,) = values("eth-pipeline-code-server.service", "ExecStart")
    assert f"-h {entry['grpc_server']['host']} -p {entry['grpc_server']['port']}" in command


def test_every_setting_of_the_example_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^(?:# )?(ETH_PIPELINE_\w+)=(.*)$", text("environment.example"), flags=re.MULTILINE)
    assert len(lines) > 5
    for name, value in lines:
        monkeypatch.setenv(name, value)
    assert load_settings().alerts.targets_file == Path("/etc/eth-pipeline/alert_targets")
