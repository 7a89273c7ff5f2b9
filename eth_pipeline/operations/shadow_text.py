"""The shadow report in words: one Markdown page.

Belongs here: tables and sentences. Does not belong: figures (`shadow_report`), plots (`shadow_plots`).
"""

from collections.abc import Mapping, Sequence

from eth_pipeline.operations.shadow_report import ShadowReport


def as_markdown(report: ShadowReport, *, plots: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        report: the figures.
        plots: file names of the plots beside the page.
    """
    parts = [
        f"# Shadow report of {report.symbol}, {report.phase}",
        f"Hours from {report.first} to {report.end} (exclusive).",
        "## Coverage",
        _coverage(report),
        "## States",
        _counts("state", report.states),
        "## Reasons",
        _counts("reason", report.gating),
        "## Actions",
        _counts("action", report.actions),
        "## Model versions",
        _counts("version", report.versions),
        "## Forecasts and what became of them",
        _judged(report),
        "## Agreement",
        _agreement(report),
        *[f"![{name.partition('.')[0]}]({name})" for name in plots],
    ]
    return "\n\n".join(parts) + "\n"


def _coverage(report: ShadowReport) -> str:
    missing = report.hours - report.recorded
    return (
        f"{report.recorded} of {report.hours} hours have a record, {missing} have none. A verified model answered in "
        f"{report.ml_available}: ML coverage {report.ml_coverage:.1%} of all hours."
    )


def _counts(name: str, counts: Mapping[str, int]) -> str:
    return _table((name, "hours"), [(value, count) for value, count in counts.items()])


def _judged(report: ShadowReport) -> str:
    if not report.judged:
        return "No model forecast anything in this window."
    heads = (
        *("role", "algorithm", "horizon", "hours", "acted", "finished", "independent", "mean p(up)", "up share"),
        *("AUC", "log loss", "calibration error", "side return bps"),
    )
    rows = [
        (
            *(j.role, j.algorithm, f"{j.horizon_hours} h", j.hours, j.acting_hours, j.finished, j.independent),
            *(_figure(j.mean_probability), _figure(j.up_share), _figure(j.auc), _figure(j.log_loss, digits=4)),
            *(_figure(j.calibration_error), _figure(j.side_return_bps, digits=1)),
        )
        for j in report.judged
    ]
    note = (
        "`finished` are forecasts whose horizon has passed; `independent` is how many of their outcomes do not overlap "
        "at most. Judge nothing by a handful of them. The side return is before costs."
    )
    return f"{_table(heads, rows)}\n\n{note}"


def _agreement(report: ShadowReport) -> str:
    if not report.agreement:
        return "Fewer than two algorithms forecast the same hour."
    rows = [
        (f"{a.horizon_hours} h", a.one, a.other, a.hours, f"{a.same_side_share:.1%}", _figure(a.correlation))
        for a in report.agreement
    ]
    return _table(("horizon", "one", "other", "hours", "same side", "correlation"), rows)


def _figure(value: float | None, *, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "None."
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
