"""Every benchmark, one table: figure, this machine, ratio to what it is held against, memory.

    python benchmarks/table.py [--tiny] [--only NAME ...] [--at-most SECONDS] [--data FOLDER] [--home FOLDER] [--write]

Runs each script in a process of its own, one after the other, with the arguments of `sizes`. `--data` is a folder of
recordings (default: what ETH_PIPELINE_REAL_DATA names); scripts that need one are skipped without it. `--home` is a
home with a production bundle; without one the demo makes it in a temporary folder. `--write` renews
docs/performance.md; `--only` then keeps the other rows out, so it is refused together. Exit 1 when a script failed.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figure import MARK, parse
from benchmarks.page import ALL_SECONDS_ASKED, Result, measured_now, render_page, terminal_table, this_machine
from benchmarks.sizes import DATA, FOLDER, HOME, benchmarks, size_of
from eth_pipeline.contracts.clock import SystemClock
from eth_pipeline.operations.manifest import code_version

DOCUMENT = FOLDER.parent / "docs" / "performance.md"
KEPT = DOCUMENT.with_suffix(".json")
TINY_LIMIT_SECONDS = 600  # whatever the machine is doing besides: the tiny table measures nothing
DEMO_LIMIT_SECONDS = 600


@dataclass
class Places:
    """What stands for the words `{data}` and `{home}`; the demo's home is made when first asked for."""

    data: Path | None
    home: Path | None
    temporary: Path

    def filled(self, arguments: tuple[str, ...]) -> list[str]:
        """The arguments with folders in place of words.

        Raises:
            LookupError: there is no folder of recordings.
            RuntimeError: the demo that makes the home failed.
        """
        if DATA in arguments and self.data is None:
            raise LookupError("no recordings; name a folder with --data or ETH_PIPELINE_REAL_DATA")
        if HOME in arguments and self.home is None:
            self.home = self._demo_home()
        folders = {DATA: str(self.data), HOME: str(self.home)}
        return [folders.get(argument, argument) for argument in arguments]

    def _demo_home(self) -> Path:
        home = self.temporary / "home"
        print("   making a home by `eth-pipeline demo` ...", flush=True)
        command = [sys.executable, "-m", "eth_pipeline", "demo", "--home", str(home)]
        code, _, errors = run_process(command, limit_seconds=DEMO_LIMIT_SECONDS)
        if code != 0:
            raise RuntimeError(f"`eth-pipeline demo` failed: {last_line(errors)}")
        return home


def run_process(command: list[str], *, limit_seconds: float) -> tuple[int | None, str, str]:
    """Exit status (None: stopped at the limit), output, errors; no child of it outlives this."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=limit_seconds)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        kill_group(process)
        return None, *process.communicate()
    finally:
        kill_group(process)


def kill_group(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_script(path: Path, places: Places, *, tiny: bool) -> Result:
    """One script, measured or with the reason why not."""
    size = size_of(path.stem)
    arguments = size.tiny if tiny else size.full
    started, busy = time.perf_counter(), children_cpu_seconds()

    def result(lines: tuple[str, ...], problem: str | None, *, skipped: bool = False) -> Result:
        seconds, cpu_seconds = time.perf_counter() - started, children_cpu_seconds() - busy
        return Result(path.stem, arguments, round(seconds, 1), round(cpu_seconds, 1), lines, problem, skipped)

    try:
        filled = places.filled(arguments)
    except LookupError as error:
        return result((), str(error), skipped=True)
    except RuntimeError as error:
        return result((), str(error))
    limit = TINY_LIMIT_SECONDS if tiny else size.limit_seconds
    code, output, errors = run_process([sys.executable, str(path), *filled], limit_seconds=limit)
    lines = tuple(line for line in output.splitlines() if line.startswith(MARK))
    return result(lines, problem_of(code, lines, errors or output, limit_seconds=limit))


def children_cpu_seconds() -> float:
    """CPU time of all processes that were started here and have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def problem_of(code: int | None, lines: tuple[str, ...], errors: str, *, limit_seconds: float) -> str | None:
    """Why the run does not count; None where it does."""
    if code is None:
        return f"stopped after {limit_seconds:g} s"
    if code != 0:
        return f"exit {code}: {last_line(errors)}"
    if not lines:
        return "printed no figure; print one with `benchmarks.figure.print_figure`"
    try:
        for line in lines:
            parse(line)
    except ValueError as error:
        return str(error)
    return None


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "said nothing"


def main(arguments: list[str], *, folder: Path = FOLDER) -> int:
    """Run, print, write; `folder` is where the scripts are."""
    options = parsed(arguments)
    scripts = benchmarks(folder)
    if unknown := [name for name in options.only if name not in scripts]:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(scripts)}")
    if options.only and options.write:
        sys.exit("--write writes the whole page: leave --only away")
    machine, results = this_machine(), []
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = Places(options.data, options.home, temporary)
        for name in options.only or scripts:
            print(f"== {name}", flush=True)
            if sum(result.seconds for result in results) >= options.at_most:
                late = f"not begun: the table's {options.at_most:g} s were over"
                results.append(Result(name, (), 0.0, 0.0, (), late, skipped=True))
            else:
                results.append(run_script(folder / f"{name}.py", places, tiny=options.tiny))
            print(
                f"   {results[-1].problem or 'done'}, {results[-1].seconds:.0f} s, {results[-1].cpu_seconds:.0f} CPU s",
                flush=True,
            )
    seconds = sum(result.seconds for result in results)
    print(f"\n{terminal_table(results)}\n\nall scripts: {seconds:.0f} s, asked at most {ALL_SECONDS_ASKED} s")
    if options.write:
        version = code_version()
        commit = version.commit[:12] + (", changed since" if version.dirty else "")
        measurement = measured_now(results, machine, tiny=options.tiny, commit=commit, now=SystemClock().now())
        KEPT.write_text(json.dumps(measurement.as_dict(), indent=1) + "\n", encoding="utf-8")
        DOCUMENT.write_text(render_page(measurement), encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(FOLDER.parent)}")
    return 1 if any(result.failed for result in results) else 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recordings = os.environ.get("ETH_PIPELINE_REAL_DATA")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: the form of the table, not its figures")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these scripts and no others")
    parser.add_argument("--data", type=Path, default=Path(recordings) if recordings else None)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument(
        "--at-most", type=float, default=ALL_SECONDS_ASKED, metavar="SECONDS", help="begin no script after so many"
    )
    parser.add_argument("--write", action="store_true", help="renew docs/performance.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
