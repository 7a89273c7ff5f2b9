"""The runbook: a section per alert, and no command or setting that does not exist."""

import re
from pathlib import Path

import pytest
import typer

from eth_pipeline.cli import app
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.wording.processes import (
    CODE_CHANGED,
    ENDED,
    OLDER_THAN_BUNDLE,
    OTHER_COMMIT,
    OTHER_CONFIGURATION,
    RUNS_WHAT_LIES_HERE,
)
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


def sections(text: str) -> list[tuple[str, str]]:
    """Level and body of every section in its order, the part before the first heading left out."""
    parts = re.split(r"^(#{1,3}) .*$", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def named(body: str) -> set[str]:
    """Commands, settings, files and units, the line's breaks aside."""
    return {" ".join(word.split()) for word in re.findall(r"`([^`]+)`", re.sub(r"^```$", "", body, flags=re.MULTILINE))}


def test_the_chinese_runbook_has_the_same_sections_in_the_same_order() -> None:
    assert [level for level, _ in sections(CHINESE)] == [level for level, _ in sections(RUNBOOK)]
    assert len(sections(RUNBOOK)) > 20


@pytest.mark.parametrize("number", range(len(sections(RUNBOOK))))
def test_a_chinese_section_names_the_same_commands_settings_and_files(number: int) -> None:
    english, chinese = sections(RUNBOOK)[number][1], sections(CHINESE)[number][1]
    assert named(english) <= named(chinese) | {"paper", "live"}
    assert len(re.findall(r"^(?:\||\d\.|```)", english, flags=re.MULTILINE)) == len(
        re.findall(r"^(?:\||\d\.|```)", chinese, flags=re.MULTILINE)
    )


def test_both_runbooks_quote_what_the_program_says_of_a_process() -> None:
    for phrase in (RUNS_WHAT_LIES_HERE, ENDED):
        assert f"`{phrase.en}`" in RUNBOOK
        assert phrase.zh in CHINESE
    for phrase in (CODE_CHANGED, OTHER_COMMIT, OTHER_CONFIGURATION, OLDER_THAN_BUNDLE):
        english, chinese = (re.split(r"[:(：，（{]", text)[0].strip() for text in (phrase.en, phrase.zh))
        assert english in RUNBOOK
        assert chinese in CHINESE


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
