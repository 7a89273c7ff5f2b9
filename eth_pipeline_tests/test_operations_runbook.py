"""The runbook: a section per alert, and no command or setting that does not exist."""

import re
from pathlib import Path

import pytest
import typer

from eth_pipeline.cli import app
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.settings import AlertSettings

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUNBOOK = (DOCS / "operations.md").read_text()
CHINESE = (DOCS / "operations.zh-CN.md").read_text()
UNITS = Path(__file__).resolve().parents[1] / "deploy" / "systemd"


def commands() -> set[tuple[str, ...]]:
    """Every `eth-pipeline ...` of the runbook, in a sentence or in a block, without options and arguments."""
    spans = [span.replace("\n", " ") for span in re.findall(r"`(eth-pipeline [^`]*)`", RUNBOOK)]
    spans += re.findall(r"^(eth-pipeline .*)$", RUNBOOK, flags=re.MULTILINE)
    found = [re.match(r"eth-pipeline((?: [a-z][a-z-]*)+)", span) for span in spans]
    return {tuple(match[1].split()) for match in found if match is not None}


@pytest.mark.parametrize("text", [RUNBOOK, CHINESE], ids=["en", "zh"])
def test_every_alert_has_its_section_and_no_section_is_about_another(text: str) -> None:
    sections = re.findall(r"^### `(\w+)`$", text, flags=re.MULTILINE)
    assert sorted(sections) == sorted(str(kind) for kind in AlertKind)


@pytest.mark.parametrize("kind", AlertKind)
def test_every_section_says_something(kind: AlertKind) -> None:
    body = RUNBOOK.partition(f"### `{kind}`\n")[2].partition("\n##")[0]
    assert len(body.split()) > 30


@pytest.mark.parametrize("kind", AlertKind)
def test_the_chinese_section_names_the_same_commands_settings_and_files(kind: AlertKind) -> None:
    def named(text: str) -> set[str]:
        body = text.partition(f"### `{kind}`\n")[2].partition("\n##")[0]
        return {" ".join(word.split()) for word in re.findall(r"`([^`]+)`", body)}

    assert named(RUNBOOK) <= named(CHINESE) | {"paper", "live"}


def test_every_command_of_the_runbook_exists() -> None:
    root = typer.main.get_command(app)
    asked = commands()
    assert len(asked) > 12
    for words in asked:
        command = root
        for word in words:
            children = getattr(command, "commands", None)
            if children is None:
                break  # the rest is prose or an argument
            assert word in children, f"eth-pipeline {' '.join(words)}"
            command = children[word]
        assert getattr(command, "commands", None) is None, f"eth-pipeline {' '.join(words)} is a group, not a command"


def test_every_alert_setting_of_the_runbook_exists() -> None:
    named = set(re.findall(r"`alerts\.(\w+)`", RUNBOOK))
    assert len(named) >= 6
    assert named <= set(AlertSettings.model_fields)


def test_every_unit_of_the_runbook_exists_and_is_described() -> None:
    described = set(re.findall(r"^\| `(eth-pipeline[a-z.-]*)`", RUNBOOK, flags=re.MULTILINE))
    stems = {path.stem if path.suffix in (".service", ".timer") else path.name for path in UNITS.glob("eth-pipeline*")}
    assert described == stems
