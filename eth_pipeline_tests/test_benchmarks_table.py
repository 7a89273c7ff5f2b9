"""The table of benchmarks: real scripts in processes of their own; failures are shown, the page is generated."""

import json
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.page import Machine, Measurement, Result, render_page, terminal_table
from benchmarks.sizes import DATA, FOLDER, HOME, MACHINERY, SIZES, benchmarks
from benchmarks.table import DOCUMENT, KEPT, Places, main, run_process, run_script
from eth_pipeline_tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]
MACHINE = Machine("a processor", 2, 24.0, 0.1, "3.12.0", {"polars": "1.0"})
GOOD = """
from benchmarks.figure import at_most, print_figure
print_figure("work", 2.0, "s", at_most(4))
"""


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n{text}", encoding="utf-8")
    return path


def places(folder: Path) -> Places:
    return Places(data=None, home=None, temporary=folder)


def test_the_committed_page_has_a_row_for_every_benchmark() -> None:
    rows = [line.split("|")[1].strip(" `") for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if "|" in line]
    assert set(benchmarks()) <= set(rows), "a benchmark is not in docs/performance.md: run `make bench`"


def test_the_committed_page_is_what_the_generator_writes_of_the_kept_results() -> None:
    measurement = Measurement.from_dict(json.loads(KEPT.read_text(encoding="utf-8")))
    assert DOCUMENT.read_text(encoding="utf-8") == render_page(measurement)


def test_every_size_belongs_to_a_script_and_the_machinery_is_no_benchmark() -> None:
    assert set(SIZES) <= set(benchmarks())
    assert not set(MACHINERY) & set(benchmarks())


def test_every_benchmark_prints_its_figures_in_the_common_form() -> None:
    for name in benchmarks():
        assert "print_figure(" in (FOLDER / f"{name}.py").read_text(encoding="utf-8"), name


def test_a_failing_script_is_shown_with_its_reason_the_others_are_measured_and_the_exit_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path, "breaks", "raise SystemExit('the models differ between runs')")
    script(tmp_path, "works", GOOD)
    assert main([], folder=tmp_path) == 1
    shown = capsys.readouterr().out
    assert "breaks FAILED: exit 1: the models differ between runs" in shown
    assert "0.50 of at most 4.00 (asked)" in shown


def test_without_a_failure_the_exit_is_0_and_only_what_is_asked_for_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path, "breaks", "raise SystemExit('never run')")
    script(tmp_path, "works", GOOD)
    assert main(["--only", "works"], folder=tmp_path) == 0
    assert "breaks" not in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no benchmark absent; there are breaks, works"):
        main(["--only", "absent"], folder=tmp_path)
    with pytest.raises(SystemExit, match="leave --only away"):
        main(["--only", "works", "--write"], folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print('12 rows/s')", "printed no figure"),
        ("print('figure: broken')", "not a figure"),
        ("raise ValueError('no such column')", "exit 1: ValueError: no such column"),
        ("sys.exit(3)", "exit 3: said nothing"),
    ],
)
def test_a_script_counts_only_with_figures_that_can_be_read(tmp_path: Path, text: str, reason: str) -> None:
    result = run_script(script(tmp_path, "one", text), places(tmp_path), tiny=False)
    assert result.failed
    assert reason in str(result.problem)


def test_figures_of_a_script_that_failed_later_are_kept_beside_its_failure(tmp_path: Path) -> None:
    result = run_script(script(tmp_path, "one", GOOD + "sys.exit('then it broke')"), places(tmp_path), tiny=False)
    assert [figure.value for figure in result.figures()] == [2.0]
    page = render_page(Measurement("2026-11-22T00:00:00Z", "abc", False, MACHINE, (result,)))
    assert "| `one` | work | 2.00 s |" in page
    assert "FAILED: exit 1: then it broke" in page


def test_a_script_over_its_limit_is_stopped_with_its_children(tmp_path: Path) -> None:
    """A benchmark's exchange once outlived it and ate a core of every later measurement."""
    child = tmp_path / "child"
    text = f"""
import subprocess, sys
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open({str(child)!r}, "w").write(str(sleeper.pid))
sleeper.wait()
"""
    hangs = [sys.executable, str(script(tmp_path, "hangs", text))]
    for limit_seconds in (1, 4, 16, 64):  # on a busy machine the child needs its time to be there at all
        code, _, _ = run_process(hangs, limit_seconds=limit_seconds)
        assert code is None
        if child.exists() and child.read_text():
            break
    wait_until(lambda: not alive(int(child.read_text())), seconds=20)


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and was not fetched by its parent does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_scripts_that_need_recordings_are_skipped_without_them_and_that_is_no_failure(
    tmp_path: Path,
) -> None:
    result = run_script(script(tmp_path, "decisions", GOOD), places(tmp_path), tiny=False)
    assert result.skipped
    assert not result.failed
    assert "decisions skipped: no recordings; name a folder with --data" in terminal_table([result])


def test_words_among_the_arguments_become_folders(tmp_path: Path) -> None:
    given = Places(data=tmp_path / "recordings", home=tmp_path / "home", temporary=tmp_path)
    assert given.filled((DATA, "x=1", HOME)) == [str(tmp_path / "recordings"), "x=1", str(tmp_path / "home")]


def test_a_page_of_tiny_sizes_says_so_and_a_missed_figure_is_marked() -> None:
    line = "figure: work | 5.00 s | 1.25 of at most 4.00 (asked) | 100 MiB"
    result = Result("one", ("x=1",), 3.0, 4.0, (line,))
    measurement = Measurement("2026-11-22T00:00:00Z", "abc", True, MACHINE, (result,))
    page = render_page(measurement)
    assert "tiny sizes" in page
    assert "1.25 of at most 4.00 (asked) **missed**" in page
    assert "`python benchmarks/one.py x=1`: 3 s, 4 CPU s" in page
    assert "tiny" not in render_page(Measurement("2026-11-22T00:00:00Z", "abc", False, MACHINE, ()))
    assert Measurement.from_dict(json.loads(json.dumps(measurement.as_dict()))) == measurement


def test_a_script_that_would_begin_too_late_is_shown_as_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path, "works", GOOD)
    assert main(["--at-most", "0"], folder=tmp_path) == 0
    assert "not begun" in capsys.readouterr().out
