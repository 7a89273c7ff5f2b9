"""The table of all benchmarks as a page: what was measured, on which machine, when.

Belongs here: the results of one run, their text on a terminal and as docs/performance.md. Does not belong: running the
scripts (`table`) or the form of one figure (`figure`). The results are kept beside the page as JSON, so that a test can
hold the page to what the generator writes.
"""

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figure import Figure, parse
from eth_pipeline.contracts.clock import iso

PACKAGES = ("dagster", "deltalake", "lightgbm", "mlflow", "numpy", "onnxruntime", "polars", "torch")
COLUMNS = ("figure", "this machine", "ratio", "peak memory")
ALL_SECONDS_ASKED = 900


@dataclass(frozen=True)
class Result:
    """What one script printed.

    Attributes:
        seconds: from its start to its end; with a home that was made for it, that too.
        cpu_seconds: the same of all its processes together.
        lines: its figures, as printed.
        problem: why there are no (more) figures; None where it ended well.
        skipped: whether it was not run at all, which is no failure.
    """

    script: str
    arguments: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    lines: tuple[str, ...]
    problem: str | None = None
    skipped: bool = False

    @property
    def failed(self) -> bool:
        """Whether it ran and did not end well."""
        return self.problem is not None and not self.skipped

    @property
    def command(self) -> str:
        """How to run it alone."""
        return " ".join(["python", f"benchmarks/{self.script}.py", *self.arguments])

    @property
    def ending(self) -> str:
        """Why there are no (more) figures, in words."""
        return f"{'skipped' if self.skipped else 'FAILED'}: {self.problem}"

    def figures(self) -> list[Figure]:
        """What it measured."""
        return [figure for figure in map(parse, self.lines) if figure is not None]


@dataclass(frozen=True)
class Machine:
    """Where it was measured; `load` is the one-minute load average before the first script."""

    cpu: str
    cores: int
    memory_gib: float
    load: float
    python: str
    packages: dict[str, str]


@dataclass(frozen=True)
class Measurement:
    """One run of the table; `tiny` figures show a form and no speed."""

    measured_at: str
    commit: str
    tiny: bool
    machine: Machine
    results: tuple[Result, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> "Measurement":
        """Read back `as_dict`.

        Raises:
            KeyError, TypeError: it is something else.
        """
        results = tuple(
            Result(**{**each, "arguments": tuple(each["arguments"]), "lines": tuple(each["lines"])})
            for each in given["results"]
        )
        return cls(**{**given, "machine": Machine(**given["machine"]), "results": results})

    @property
    def seconds(self) -> float:
        """All scripts together."""
        return sum(result.seconds for result in self.results)


def this_machine() -> Machine:
    """The machine that runs this."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load=round(os.getloadavg()[0], 1),
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def measured_now(results: list[Result], machine: Machine, *, tiny: bool, commit: str, now: datetime) -> Measurement:
    """The results of a run that ends now."""
    return Measurement(iso(now), commit, tiny, machine, tuple(results))


def terminal_table(results: list[Result]) -> str:
    """All figures below each other, columns aligned; below them why others are missing."""
    rows = [("script", *COLUMNS), *(row for result in results for row in _figure_rows(result))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(
        [*lines, *(f"{result.script} {result.ending}" for result in results if result.problem is not None)]
    )


def _figure_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for place, figure in enumerate(result.figures()):
        name, value, ratio, peak = figure.cells()
        missed = " MISSED" if figure.met is False else ""
        yield (result.script if place == 0 else "", name, value, ratio + missed, peak)


def render_page(measurement: Measurement) -> str:
    """docs/performance.md."""
    machine = measurement.machine
    size = "**tiny sizes: these figures show the form, not the speed**" if measurement.tiny else "full sizes"
    lines = [
        "# Performance",
        "",
        "Written by `make bench` (`python benchmarks/table.py --write`); do not edit. A ratio is the figure over what",
        "it is held against: `at most` and `at least` are asked for, `compared with` is another measurement.",
        "",
        f"- Measured {measurement.measured_at}, commit {measurement.commit}, {size}",
        f"- {machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB; load before the first script "
        f"{machine.load:g}",
        f"- Python {machine.python}; " + ", ".join(f"{name} {version}" for name, version in machine.packages.items()),
        f"- All scripts together: {measurement.seconds:.0f} s, asked at most {ALL_SECONDS_ASKED} s",
        "",
        "| script | " + " | ".join(COLUMNS) + " |",
        "|---" * (1 + len(COLUMNS)) + "|",
    ]
    for result in measurement.results:
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in _page_rows(result)]
    lines += ["", "## How each was run", ""]
    ran = [result for result in measurement.results if not result.skipped]
    lines += [f"- `{each.command}`: {each.seconds:.0f} s, {each.cpu_seconds:.0f} CPU s" for each in ran]
    return "\n".join(lines) + "\n"


def _page_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for script, *cells in _figure_rows(result):
        yield (f"`{script}`" if script else "", *(cell.replace("MISSED", "**missed**") for cell in cells))
    if result.problem is not None:
        yield ("" if result.lines else f"`{result.script}`", result.ending, "", "", "")
