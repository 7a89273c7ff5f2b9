"""Follow a recipe on a copy of the repository: `python docs/recipes/follow.py add-a-feature [--keep FOLDER]`.

Belongs here: reading a recipe's steps out of its page, doing them in order, stopping at the first that fails. Does not
belong: what a recipe does. The page is the only source: every block of Python, TOML or shell in it is a step, and the
sentence above the block says which:

    Create `path`:                              the block is the new file
    In `path`, after `line`:                    the block goes below the one line that begins like that
    In `path`, before `line`:                   ... above it
    In `path`, replace `line`:                  ... in its place
    Run:                                        the block is given to bash; what it exports holds for later blocks

A block of another language, ```text, is for the eye. `<!-- fmt: off -->` in a page keeps `ruff format` from dedenting
the parts of files. The copy gets this interpreter's packages and no setting of the caller's, and whatever a step
started ends with it.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("eth_pipeline", "eth_pipeline_tests", "docs", "pyproject.toml", "Makefile", "README.md", "requirements.lock")
LANGUAGES = ("python", "toml", "bash")
LIMIT_SECONDS = 240
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_CREATE = re.compile(r"Create `(?P<path>[^`]+)`:$")
_EDIT = re.compile(r"In `(?P<path>[^`]+)`, (?P<how>after|before|replace) `(?P<line>[^`]+)`:$")
_RUN = re.compile(r"Run:$")


class RecipeBroken(Exception):
    """A step cannot be done, or its command failed."""


@dataclass(frozen=True)
class Step:
    """One block of a recipe with the sentence that says what to do with it."""

    sentence: str
    body: str

    def do(self, copy: Path, *, session: Path) -> None:
        """Do it in `copy`; `session` is where exported variables are kept between shell blocks.

        Raises:
            RecipeBroken: a file is there already, a line is not there exactly once, or a command failed.
        """
        if match := _CREATE.search(self.sentence):
            path = copy / match["path"]
            if path.exists():
                raise RecipeBroken(f"{match['path']} is there already. Choose another name in the recipe.")
            path.write_text(self.body)
        elif match := _EDIT.search(self.sentence):
            _edit(copy / match["path"], how=match["how"], line=match["line"], body=self.body)
        elif _RUN.search(self.sentence):
            _run(self.body, copy, session=session)
        else:
            raise RecipeBroken(f"No sentence says what to do with this block:\n{self.sentence}\n{self.body}")


def read_recipe(page: Path) -> tuple[Step, ...]:
    """The steps of a recipe's page, in order."""
    text = page.read_text()
    return tuple(
        Step(text[: block.start()].strip().rpartition("\n\n")[2].replace("\n", " "), block["body"])
        for block in _BLOCK.finditer(text)
        if block["language"] in LANGUAGES
    )


def follow(name: str, copy: Path) -> None:
    """Do every step of the recipe `name` in `copy`, an empty folder.

    Raises:
        RecipeBroken: naming the step.
    """
    for item in COPIED:
        source = REPOSITORY / item
        if source.is_dir():
            shutil.copytree(source, copy / item, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / item)
    with tempfile.TemporaryDirectory() as session:
        steps = read_recipe(copy / "docs" / "recipes" / f"{name}.md")
        for number, step in enumerate(steps, start=1):
            began = time.monotonic()
            try:
                step.do(copy, session=Path(session))
            except RecipeBroken as error:
                raise RecipeBroken(f"{name}, step {number} of {len(steps)} ({step.sentence}): {error}") from error
            sys.stdout.write(f"{number}. {step.sentence} {time.monotonic() - began:.1f} s\n")


def _edit(path: Path, *, how: str, line: str, body: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    found = [number for number, text in enumerate(lines) if text.strip().startswith(line)]
    if len(found) != 1:
        raise RecipeBroken(f"{path.name} has {len(found)} lines that begin with {line!r}, not one. Name a longer part.")
    at, kept = found[0], 0 if how == "replace" else 1
    if how == "after":
        lines[at + 1 : at + 1] = [body]
    else:
        lines[at : at + 1 - kept] = [body]
    path.write_text("".join(lines))


def _run(script: str, copy: Path, *, session: Path) -> None:
    variables = session / "variables"
    before = f". {variables}\n" if variables.exists() else ""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ETH_PIPELINE_", "DAGSTER"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with _group(
        ["bash", "-euo", "pipefail", "-c", f"{before}{script}\nexport -p > {variables}\n"], copy, environment
    ) as process:
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RecipeBroken(f"took longer than {LIMIT_SECONDS} s:\n{script}") from error
    if process.returncode:
        raise RecipeBroken(f"exit code {process.returncode}:\n{script}\n{output[-4000:]}")


@contextmanager
def _group(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose whole group ends with the block."""
    process = subprocess.Popen(  # noqa: S603 (the shell blocks of a page of this repository)
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    """Follow one recipe and say so."""
    options = argparse.ArgumentParser(description="Follow a recipe on a copy of the repository.")
    options.add_argument("name", choices=sorted(page.stem for page in Path(__file__).parent.glob("add-*.md")))
    options.add_argument("--keep", type=Path, help="An empty folder for the copy; else it is removed afterwards.")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        copy = chosen.keep or Path(scratch)
        copy.mkdir(parents=True, exist_ok=True)
        try:
            follow(chosen.name, copy)
        except RecipeBroken as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
