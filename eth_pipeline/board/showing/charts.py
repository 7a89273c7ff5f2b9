"""Drawings as inline SVG, made on the server: no script, no library, readable in dark and light.

Belongs here: geometry. Does not belong: colours (they are classes of the style sheet), text around a drawing
(templates), figures.

Every drawing stretches to its box; strokes keep their width. What it says is in its title too, for whoever cannot see
it.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

WIDTH = 1000.0
HEIGHT = 240.0
_BAR = 24.0


def line_chart(values: Sequence[float], *, title: str, low: float, high: float, level: float | None = None) -> Markup:
    """A line over an area, oldest value first.

    Args:
        values: at least one.
        title: what the drawing says.
        low: value at the bottom.
        high: value at the top.
        level: a dashed line, for example where the account began.
    """
    points = [(_across(n, len(values)), _down(value, low=low, high=high)) for n, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    base = _down(min(max(0.0, low), high), low=low, high=high)
    area = f"{points[0][0]:.1f},{base:.1f} {path} {points[-1][0]:.1f},{base:.1f}"
    marks = [_grid(HEIGHT * share) for share in (0.0, 0.5, 1.0)]
    if level is not None and low <= level <= high:
        y = _down(level, low=low, high=high)
        marks.append(Markup('<line class="level" x1="0" x2="1000" y1="{0}" y2="{0}"/>').format(f"{y:.1f}"))
    shapes = Markup('<polygon class="area" points="{}"/><polyline class="line" points="{}"/>').format(area, path)
    return _drawing("chart", Markup("").join([*marks, shapes]), title=title, height=HEIGHT)


def interval_bar(levels: Mapping[float, float], *, reach: float, title: str) -> Markup:
    """Quantiles on a line that is symmetric about 0: the outer interval thin, the next one thick, the middle a tick.

    Args:
        levels: level in (0, 1) to value.
        reach: value at the right end, above 0.
        title: what the drawing says.
    """
    ordered = [levels[level] for level in sorted(levels)]
    pairs = [(ordered[n], ordered[-1 - n]) for n in range(len(ordered) // 2)]
    shapes = [_zero()]
    for (low, high), (name, thickness) in zip(pairs, (("outer", 6.0), ("inner", 14.0)), strict=False):
        shapes.append(_box(name, _place(low, reach), _place(high, reach), thickness=thickness))
    if len(ordered) % 2:
        middle = _place(ordered[len(ordered) // 2], reach)
        shapes.append(_box("middle", middle - 3, middle + 3, thickness=_BAR))
    return _drawing("bar", Markup("").join(shapes), title=title, height=_BAR)


def signed_bar(value: float, *, reach: float, title: str) -> Markup:
    """A bar from 0 to the right for a positive value, to the left for a negative one."""
    end = _place(value, reach)
    name = "up" if value >= 0 else "down"
    shape = _box(name, min(end, WIDTH / 2), max(end, WIDTH / 2), thickness=14.0)
    return _drawing("bar", Markup("").join([_zero(), shape]), title=title, height=_BAR)


def _drawing(name: str, content: Markup, *, title: str, height: float) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 1000 {:.0f}" preserveAspectRatio="none" role="img"><title>{}</title>{}</svg>'
    ).format(name, height, title, content)


def _across(n: int, count: int) -> float:
    return WIDTH * n / (count - 1) if count > 1 else WIDTH


def _down(value: float, *, low: float, high: float) -> float:
    return HEIGHT * (high - value) / (high - low) if high > low else HEIGHT / 2


def _place(value: float, reach: float) -> float:
    """Where a value stands on a line from -reach to reach; beyond its ends it is drawn at the end."""
    return WIDTH / 2 * (1 + min(max(value / reach, -1.0), 1.0))


def _grid(y: float) -> Markup:
    return Markup('<line class="grid" x1="0" x2="1000" y1="{0}" y2="{0}"/>').format(f"{y:.1f}")


def _zero() -> Markup:
    return Markup('<line class="zero" x1="500" x2="500" y1="0" y2="24"/>')


def _box(name: str, left: float, right: float, *, thickness: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        name, f"{left:.1f}", f"{(_BAR - thickness) / 2:.1f}", f"{max(right - left, 2.0):.1f}", f"{thickness:.1f}"
    )
