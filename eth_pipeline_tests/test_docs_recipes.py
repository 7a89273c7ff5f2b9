"""Every recipe does what it says, followed line by line on a copy of the repository."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from eth_pipeline_tests.waiting import wait_until

RECIPES = Path(__file__).resolve().parents[1] / "docs" / "recipes"


@pytest.fixture(scope="module")
def followed() -> ModuleType:
    """The script beside the recipes, as a module."""
    spec = importlib.util.spec_from_file_location("recipes_follow", RECIPES / "follow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def follow(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / "follow.py"), name]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(page.stem for page in RECIPES.glob("add-*.md")))
def test_the_recipe_does_what_it_says(name: str) -> None:
    done = follow(name)
    assert done.returncode == 0, done.stderr


def test_a_block_goes_below_above_or_in_the_place_of_the_line(followed: ModuleType, tmp_path: Path) -> None:
    page, file = tmp_path / "page.md", tmp_path / "a.py"
    file.write_text("one = 1\n    two = 2\n")
    block = "\n\n```python\n{}\n```\n\n"
    page.write_text(
        "In `a.py`, after `one`:"
        + block.format("half = 1.5")
        + "In `a.py`, before `one`:"
        + block.format("zero = 0")
        + "In `a.py`, replace `two =`:"
        + block.format("deux = 2")
        + "You see:\n\n```text\nnothing\n```\n"
    )
    for step in followed.read_recipe(page):
        step.do(tmp_path, session=tmp_path)
    assert file.read_text() == "zero = 0\none = 1\nhalf = 1.5\ndeux = 2\n"


@pytest.mark.parametrize(
    ("sentence", "body", "said"),
    [
        ("In `a.py`, after `one`:", "", "2 lines that begin with"),
        ("In `a.py`, after `three`:", "", "0 lines"),
        ("Create `a.py`:", "", "there already"),
        ("Consider this:", "", "No sentence says"),
        ("Run:", "echo words; false; true", "exit code 1"),
    ],
)
def test_a_step_that_cannot_be_done_stops_the_recipe(
    followed: ModuleType, tmp_path: Path, sentence: str, body: str, said: str
) -> None:
    (tmp_path / "a.py").write_text("one = 1\none = 2\n")
    with pytest.raises(followed.RecipeBroken, match=said):
        followed.Step(sentence, body).do(tmp_path, session=tmp_path)


def test_what_a_step_started_ends_with_it(followed: ModuleType, tmp_path: Path) -> None:
    followed.Step("Run:", "sleep 600 > /dev/null 2>&1 & echo $! > pid").do(tmp_path, session=tmp_path)
    state = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"

    def is_over() -> bool:
        try:
            return state.read_text().rpartition(")")[2].split()[0] == "Z"  # dead, and nobody's child here
        except OSError:
            return True

    wait_until(is_over, seconds=20)
