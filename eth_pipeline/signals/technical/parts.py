"""A family's score as the sum of its parts, and the sentence that explains it.

Belongs here: what a part is, adding parts up, saying them. Does not belong: which parts a family has (one module per
family beside this one), how families become a timeframe's score (`strategy`).

The score and its reason come from the same numbers, so a reason can never tell another story than the score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eth_pipeline.signals.technical.windows import Candles, Floats

LEAST_WORTH_SAYING = 0.5
"""Points below which a part is not mentioned: it would be shown as 0."""


@dataclass(frozen=True)
class Part:
    """One observation of a family.

    Attributes:
        points: its share of the score, [bars], positive means buy; NaN until its window is full.
        buys: what is seen where the points are positive.
        sells: what is seen where they are negative.
    """

    points: Floats
    buys: str
    sells: str


Family = Callable[[Candles], tuple[Part, ...]]


def total(parts: Sequence[Part]) -> Floats:
    """The family's score, -100..100 [bars]."""
    score = parts[0].points
    for part in parts[1:]:
        score = score + part.points
    return np.clip(score, -100.0, 100.0)


def in_words(parts: Sequence[Part], row: int) -> str:
    """The reason of the score at `row`, the weightiest part first."""
    points = [(float(part.points[row]), part) for part in parts]
    said = sorted((p for p in points if abs(p[0]) >= LEAST_WORTH_SAYING), key=lambda p: -abs(p[0]))
    return ", ".join(f"{part.buys if value > 0 else part.sells} {value:+.0f}" for value, part in said) or "nothing"
