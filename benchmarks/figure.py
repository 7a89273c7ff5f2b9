"""One measured figure, and the line in which a benchmark prints it.

Belongs here: the form that every script prints and the table reads. Does not belong: which scripts run with which sizes
(`sizes`), running them (`table`) or the page (`page`).

    figure: 357 refits | 60.3 s | 1.00 of at most 60 (asked) | 359 MiB
"""

import resource
from dataclasses import dataclass
from enum import StrEnum

MARK, BETWEEN = "figure: ", " | "


class Aim(StrEnum):
    """How a figure stands to the value it is held against."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    COMPARED = "compared with"


@dataclass(frozen=True)
class Baseline:
    """What a figure is held against, in the figure's unit; `named` says where the value comes from."""

    aim: Aim
    value: float
    named: str


def at_most(value: float, named: str = "asked") -> Baseline:
    """The figure may not be above this."""
    return Baseline(Aim.AT_MOST, value, named)


def at_least(value: float, named: str = "asked") -> Baseline:
    """The figure may not be below this."""
    return Baseline(Aim.AT_LEAST, value, named)


def compared(value: float, named: str) -> Baseline:
    """Another measurement of the same thing; neither is asked for."""
    return Baseline(Aim.COMPARED, value, named)


@dataclass(frozen=True)
class Figure:
    """A figure of this machine.

    Attributes:
        peak_mib: the most memory that the measured process had held until then; None where nothing was measured.
    """

    name: str
    value: float
    unit: str
    baseline: Baseline | None = None
    peak_mib: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over baseline; None without one, or where it is zero."""
        return self.value / self.baseline.value if self.baseline is not None and self.baseline.value else None

    @property
    def met(self) -> bool | None:
        """Whether what is asked is reached; None where nothing is asked."""
        if self.baseline is None or self.baseline.aim == Aim.COMPARED:
            return None
        if self.baseline.aim == Aim.AT_MOST:
            return self.value <= self.baseline.value
        return self.value >= self.baseline.value

    def cells(self) -> tuple[str, str, str, str]:
        """Name, value with unit, ratio, memory, as a person reads them."""
        peak = "" if self.peak_mib is None else f"{self.peak_mib:,.0f} MiB"
        return self.name, f"{shown(self.value)} {self.unit}".strip(), self._against(), peak

    def line(self) -> str:
        """The line that `parse` reads back, rounded as it is shown."""
        return MARK + BETWEEN.join(self.cells())

    def _against(self) -> str:
        if self.baseline is None:
            return ""
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        return f"{ratio} of {self.baseline.aim} {shown(self.baseline.value)} ({self.baseline.named})"


def print_figure(
    name: str, value: float, unit: str, baseline: Baseline | None = None, *, peak_mib: float | None = None
) -> None:
    """Print one figure; its memory is the peak of this process where none is given."""
    peak = own_peak_mib() if peak_mib is None else peak_mib
    print(Figure(name, value, unit, baseline, peak).line(), flush=True)


def own_peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parse(line: str) -> Figure | None:
    """The figure of a line; None where the line is not one.

    Raises:
        ValueError: the line begins like a figure and is none.
    """
    if not line.startswith(MARK):
        return None
    try:
        name, valued, against, peak = line.removeprefix(MARK).rstrip("\n").split(BETWEEN)
        value, _, unit = valued.partition(" ")
        return Figure(
            name, _number(value), unit, _baseline(against), _number(peak.removesuffix(" MiB")) if peak else None
        )
    except (ValueError, StopIteration) as error:
        raise ValueError(f"not a figure: {line!r} ({error}). Print it with `print_figure`.") from error


def _baseline(text: str) -> Baseline | None:
    if not text:
        return None
    _, _, rest = text.partition(" of ")
    aim = next(aim for aim in Aim if rest.startswith(aim))
    value, _, named = rest.removeprefix(aim).strip().partition(" (")
    return Baseline(aim, _number(value), named.removesuffix(")"))


def shown(value: float) -> str:
    """Three digits, or all before the point: a benchmark knows no more."""
    rounded = float(f"{value:.3g}") if abs(value) < 100 else round(value)
    size = abs(rounded)
    if size >= 100 or size == 0:
        return f"{rounded:,.0f}"
    return f"{rounded:.1f}" if size >= 10 else f"{rounded:.2f}" if size >= 1 else f"{rounded:.3g}"


def _number(text: str) -> float:
    return float(text.replace(",", ""))
