"""Both READMEs: short, the same in both languages, and nothing in them that does not exist."""

import re
from pathlib import Path

import pytest
import typer

from eth_pipeline.cli import app
from eth_pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "README.zh-CN.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
BOTH = pytest.mark.parametrize("name", NAMES)
DIFFERENT = re.compile(r"README|board(\.zh-CN)?\.png|docs/operations")
"""Links to the edition in a language, of which each README has its own."""


def commands(text: str) -> set[tuple[str, ...]]:
    """Every `eth-pipeline ...`, without options and arguments."""
    spans = re.findall(r"`([^`\n]+)`", text)
    found = [re.match(r"eth-pipeline((?: [a-z][a-z-]*)+)", span) for span in spans]
    return {tuple(match[1].split()) for match in found if match is not None}


@BOTH
def test_a_readme_has_fewer_than_200_lines(name: str) -> None:
    assert len(TEXTS[name].splitlines()) < 200


@BOTH
def test_every_file_that_a_readme_points_to_is_there(name: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXTS[name]) if not link.startswith("http")]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


@BOTH
def test_every_command_of_a_readme_exists(name: str) -> None:
    asked = commands(TEXTS[name])
    assert len(asked) > 15
    for words in asked:
        command = typer.main.get_command(app)
        for word in words:
            children = getattr(command, "commands", None)
            if children is None:
                break  # the rest is an argument
            assert word in children, f"eth-pipeline {' '.join(words)}"
            command = children[word]


@BOTH
def test_every_setting_of_a_readme_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = set(re.findall(r"ETH_PIPELINE_([A-Z_]+)\b", TEXTS[name])) - {"CONFIG", ""}
    dump = load_settings().model_dump()
    assert {"PHASE", "ALERTS__TARGETS_FILE", "HOME"} <= named
    for variable in named:
        section, _, field = variable.lower().partition("__")
        assert section in dump
        assert not field or field in dump[section]


def test_both_languages_name_the_same_commands_settings_and_links() -> None:
    def named(text: str) -> set[str]:
        return {
            span for span in re.findall(r"`([^`\n]+)`", text) if re.match(r"eth-pipeline|ETH_|docs/|make |/api", span)
        }

    def links(text: str) -> set[str]:
        return {link for link in re.findall(r"\]\(([^)]+)\)", text) if not DIFFERENT.search(link)}

    english, chinese = (TEXTS[name] for name in NAMES)
    assert links(english) == links(chinese)
    assert named(english) <= named(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("\n|") == chinese.count("\n|")


def test_pictures_are_small_enough_for_a_page() -> None:
    pictures = [ROOT / path for text in TEXTS.values() for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)]
    assert len(set(pictures)) == 4
    assert [path.name for path in pictures if path.stat().st_size >= 300_000] == []
