"""The list of deliberate bugs does not rot, and the check that runs it tells a killed bug from one that survives."""

from pathlib import Path

import pytest

from eth_pipeline_tests.mutations.bug import REPOSITORY, Bug
from eth_pipeline_tests.mutations.run import BUGS, try_bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_what_a_bug_replaces_stands_in_the_code_exactly_once(bug: Bug) -> None:
    assert bug.found() == 1, f"{bug.file} has changed: write the bug {bug.name!r} anew"
    text = bug.path(REPOSITORY).read_text(encoding="utf-8")
    changed = bug.changed(text)
    assert changed != text
    compile(changed, bug.file, "exec")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_test_that_must_notice_a_bug_exists(bug: Bug) -> None:
    assert bug.tests
    for test in bug.tests:
        file, _, name = test.partition("::")
        text = (REPOSITORY / "eth_pipeline_tests" / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text or not name, test


def test_there_are_more_than_fifty_bugs_and_no_name_twice() -> None:
    assert len(BUGS) > 50
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository of one module and its test."""
    for folder in ("eth_pipeline", "eth_pipeline_tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "eth_pipeline" / "sums.py").write_text("def double(n):\n    return n + n\n")
    test = "from eth_pipeline.sums import double\n\n\ndef test_double():\n    assert double(3) == 6\n"
    (tmp_path / "eth_pipeline_tests" / "test_sums.py").write_text(test)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        ("n + n", "n + 1", "killed"),
        ("n + n", "n * 2", "SURVIVED"),
        ("n + n", "n +", "tells nothing: "),
        ("n - n", "n", "its old text stands 0 times in sums.py"),
        ("n", "m", "its old text stands 4 times in sums.py"),
    ],
)
def test_a_bug_is_killed_only_by_a_test_that_fails(copy: Path, old: str, new: str, outcome: str) -> None:
    """A syntax error stops the tests from running at all: that is no proof that they would notice."""
    before = (copy / "eth_pipeline" / "sums.py").read_text()
    assert try_bug(Bug("a bug", "sums.py", old, new, ("test_sums.py",)), copy, number=0).startswith(outcome)
    assert (copy / "eth_pipeline" / "sums.py").read_text() == before
