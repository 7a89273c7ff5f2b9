"""A file that a person wrote and that cannot be read is one message: which, why, what to do."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eth_pipeline.cli import app
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.operations.plan.spec import load_plan
from eth_pipeline.settings.lake import LakeStoreSettings
from eth_pipeline.settings.operator_file import read_operator_text, read_operator_yaml
from eth_pipeline.soak.plan import read_plan

LATIN = "name: Übung\n".encode("latin-1")
NOT_YAML = (b"a: [", b"day: 2024-13-45", b"[" * 2000, b"\x00", b"- !!python/object:os.system {}")


def read_secret(path: Path) -> object:
    return LakeStoreSettings(access_key_id="key", secret_access_key_file=path).options()


@pytest.mark.parametrize("read", [load_plan, read_plan, read_secret])
def test_a_file_in_another_encoding_is_refused_by_name(read: Callable[[Path], object], tmp_path: Path) -> None:
    """A plan saved by an editor in Latin-1 ended `plan run` and `soak` with a UnicodeDecodeError."""
    file = tmp_path / "file"
    file.write_bytes(LATIN)
    with pytest.raises(
        SettingsInvalid, match=rf"{re.escape(str(file))}.*byte 7 .*UTF-8\. Save it.*\. Name "
    ) as refusal:
        read(file)
    assert refusal.value.__cause__ is None
    assert "bung" not in str(refusal.value)


@pytest.mark.parametrize("read", [load_plan, read_plan, read_secret])
def test_an_absent_file_and_a_folder_are_refused_by_name(read: Callable[[Path], object], tmp_path: Path) -> None:
    for path, why in ((tmp_path / "nothing", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsInvalid, match=rf"{re.escape(str(path))} cannot be read: {why}.*Name "):
            read(path)


@pytest.mark.parametrize("content", NOT_YAML, ids=lambda content: repr(content[:16]))
@pytest.mark.parametrize("read", [load_plan, read_plan])
def test_what_is_no_yaml_is_refused_by_name(read: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    """An impossible date raises no error of YAML's own."""
    file = tmp_path / "plan.yaml"
    file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"plan\.yaml is no YAML"):
        read(file)


@pytest.mark.parametrize("command", [("plan", "run", "--plan"), ("soak", "--faults")])
def test_a_command_with_such_a_plan_ends_with_one_message(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is prepared: nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path / "home"))
    (tmp_path / "plan.yaml").write_bytes(LATIN)
    result = CliRunner().invoke(app, [*command, "plan.yaml"])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert "UTF-8" in result.stderr
    assert "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]


def test_a_readable_file_is_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("name: Übung", encoding="utf-8")
    assert read_operator_text(file, what="The plan", remedy="-") == "name: Übung"
    assert read_operator_yaml(file, what="The plan", remedy="-") == {"name": "Übung"}
