"""What a feature is: one expression over the hourly panel, with its name, unit and meaning.

Belongs here: the value types that every module of `families` fills. Does not belong: any particular feature, the
panel they are computed on (`features.panel`), their order (`features.catalogue`).
"""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class FeatureSpec:
    """The public description of one feature; `unit` is a plain word such as `share` or `log return`."""

    name: str
    family: str
    unit: str
    description: str


@dataclass(frozen=True)
class Feature:
    """One feature as its family defines it; `expr` reads panel and shared columns only.

    The expression runs over a regular hourly grid, row T holding what was known at T. It may look back with
    `shift` and the windows of `features.rolling`, never forward, and never farther than `build.LOOKBACK`.
    """

    name: str
    expr: pl.Expr
    unit: str
    description: str


@dataclass(frozen=True)
class Family:
    """A named group of features, and the columns it computes once because several of them share it."""

    name: str
    features: tuple[Feature, ...]
    shared: tuple[pl.Expr, ...] = ()

    def specs(self) -> tuple[FeatureSpec, ...]:
        """The descriptions, in order."""
        return tuple(FeatureSpec(f.name, self.name, f.unit, f.description) for f in self.features)
