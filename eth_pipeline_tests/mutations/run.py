"""Apply one deliberate bug at a time to a copy of the repository and see which tests notice.

    python -m eth_pipeline_tests.mutations.run [--only WORDS]

`--only` takes the bugs whose name holds these words. The named tests run once without a bug, which they must pass, and
once for each bug that names them. Prints a row per bug: killed, or SURVIVED, or why it tells nothing, and the seconds.
Exit 1 unless every bug is killed. Nothing is changed in place.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eth_pipeline_tests.mutations import data_and_model, decision_and_operations
from eth_pipeline_tests.mutations.bug import REPOSITORY, Bug

BUGS: tuple[Bug, ...] = (*data_and_model.BUGS, *decision_and_operations.BUGS)
PASSED, FAILED = 0, 1  # of pytest; anything else means that the tests did not get as far as judging
LIMIT_SECONDS = 600
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info", ".eth_*")


def run_tests(copy: Path, tests: tuple[str, ...]) -> tuple[int | None, str]:
    """Exit status of pytest in the copy, None where it took too long; and the test that failed, or its last line."""
    command = [sys.executable, "-m", "pytest", "-x", "-o", "addopts=-q", "-p", "no:cacheprovider"]
    command += [f"eth_pipeline_tests/{test}" for test in tests]
    # Plugins cost a second a start, random order and workers would hide which test it was: none of them is loaded.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"not done within {LIMIT_SECONDS} s"
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines
    return done.returncode, telling[-1] if telling else "said nothing"


def try_bug(bug: Bug, copy: Path, *, number: int) -> str:
    """`killed`, `SURVIVED`, or why the tests could not judge; the copy is whole again afterwards."""
    path = bug.path(copy)
    before, stat = path.read_text(encoding="utf-8"), path.stat()
    if before.count(bug.old) != 1:
        return f"its old text stands {before.count(bug.old)} times in {bug.file}, once is needed"
    path.write_text(bug.changed(before), encoding="utf-8")
    # A compiled file counts as fresh by size and second: two bugs of one length in one second would look alike.
    os.utime(path, (stat.st_atime, stat.st_mtime + 10 * (number + 1)))
    status, last = run_tests(copy, bug.tests)
    path.write_text(before, encoding="utf-8")
    os.utime(path, (stat.st_atime, stat.st_mtime))
    if status == FAILED:
        return "killed"
    return "SURVIVED" if status == PASSED else f"tells nothing: {last}"


def main(arguments: list[str], *, bugs: tuple[Bug, ...] = BUGS) -> int:
    """Run the check; the exit status."""
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__)
    parser.add_argument("--only", default="", help="bugs whose name holds these words")
    only = parser.parse_args(arguments).only
    chosen = [bug for bug in bugs if only in bug.name]
    if not chosen:
        sys.exit(f"no bug's name holds {only!r}")
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch:
        copy = Path(scratch) / "repository"
        shutil.copytree(REPOSITORY, copy, ignore=_LEFT_OUT)
        named = tuple(sorted({test for bug in chosen for test in bug.tests}))
        status, last = run_tests(copy, named)
        if status != PASSED:
            sys.exit(f"the tests must pass without a bug first: {last}")
        outcomes = [_timed(bug, copy, number=number) for number, bug in enumerate(chosen)]
    killed = sum(outcome == "killed" for outcome in outcomes)
    _say(f"{killed} of {len(chosen)} killed")
    return 0 if killed == len(chosen) else 1


def _timed(bug: Bug, copy: Path, *, number: int) -> str:
    started = time.monotonic()
    outcome = try_bug(bug, copy, number=number)
    _say(f"{outcome:10s} {time.monotonic() - started:6.1f} s  {bug.name} ({bug.file})")
    return outcome


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
