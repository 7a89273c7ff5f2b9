"""The line of a figure: a script prints it, the table reads it back."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.figure import Figure, at_least, at_most, compared, parse, shown

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters=" ,.%"), min_size=1).map(
    str.strip
)
VALUES = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)
BASELINES = st.builds(lambda make, value, named: make(value, named), st.sampled_from([at_most, at_least, compared]),
                      VALUES, WORDS.filter(bool))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    WORDS.filter(bool), VALUES, st.sampled_from(["s", "rows/s", ""]), st.none() | BASELINES, st.none() | st.just(3.0)
)
def test_a_figure_read_back_prints_the_same_line(
    name: str, value: float, unit: str, baseline: object, peak_mib: float | None
) -> None:
    line = Figure(name, value, unit, baseline, peak_mib).line()  # type: ignore[arg-type]  # drawn from two types
    read = parse(line)
    assert read is not None
    assert (read.name, read.unit, read.peak_mib) == (name, unit, peak_mib)
    assert shown(read.value) == shown(value)
    assert (read.baseline is None) == (baseline is None)
    if read.baseline is not None:
        assert read.baseline.named == baseline.named  # type: ignore[attr-defined]  # checked a line above
        assert read.baseline.aim == baseline.aim  # type: ignore[attr-defined]


def test_what_is_asked_at_most_is_met_at_the_bound_and_missed_above_it() -> None:
    assert Figure("f", 60.0, "s", at_most(60)).met is True
    assert Figure("f", 60.1, "s", at_most(60)).met is False
    assert Figure("f", 149.0, "s", at_least(150)).met is False
    assert Figure("f", 150.0, "s", at_least(150)).met is True
    assert Figure("f", 5.0, "s", compared(4, "before")).met is None
    assert Figure("f", 5.0, "s").met is None


def test_the_ratio_is_the_figure_over_its_baseline() -> None:
    assert Figure("f", 30.0, "s", at_most(60)).ratio == 0.5
    assert Figure("f", 30.0, "s", compared(0, "nothing")).ratio is None
    assert Figure("f", 30.0, "s").ratio is None
    assert "0.50 of at most 60.0 (asked)" in Figure("f", 30.0, "s", at_most(60)).line()


def test_other_lines_are_no_figures_and_a_broken_one_says_how_to_print_it() -> None:
    assert parse("batch: 43,800 rows") is None
    with pytest.raises(ValueError, match="print_figure"):
        parse("figure: half a line | 3 s")
    with pytest.raises(ValueError, match="print_figure"):
        parse("figure: f | fast | |")
    with pytest.raises(ValueError, match="print_figure"):
        parse("figure: f | 3 s | 0.5 of maybe 6.00 (asked) | 1 MiB")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (335_533.6, "335,534"),
        (60.34, "60.3"),
        (1.284, "1.28"),
        (0.5506, "0.551"),
        (0, "0"),
        (-12, "-12.0"),
        (0.99999, "1.00"),
        (99.97, "100"),
    ],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert shown(value) == text
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=0.005, abs_tol=1e-9)
