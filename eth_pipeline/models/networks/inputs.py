"""Which features a network reads and how they are scaled: both learnt from the rows that teach, and no other.

Belongs here: feature choice and robust scaling, in numpy. Does not belong: applying them (`input_layer`, which is part
of the exported graph).

A network is hurt by hundreds of near-copies that a boosting model shrugs off. So features are ranked by their rank
correlation with the sign of the return, less half its spread between consecutive quarters of the rows (a relation
that changes its sign is none), and near-copies of a better feature step back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eth_pipeline.models.dataset import Floats, Matrix, Rows, TrainingSet

_BLOCKS = 4
_SPREAD_PENALTY = 0.5
_NEAR_COPY = 0.9
_MIN_PRESENT_SHARE = 0.5
_ROWS_RANKED = 12_000
_IQR_OF_NORMAL = 1.349


@dataclass(frozen=True)
class InputScaling:
    """Chosen columns; value = clip((raw - centre) / scale), 0 where missing.

    Attributes:
        columns: positions in the training set's features, best first.
        centre: median of each chosen column.
        scale: interquartile range over that of a normal, above 0.
    """

    columns: tuple[int, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]


def fit_inputs(
    data: TrainingSet, rows: Mapping[int, Rows], *, count: int, leave_out: frozenset[int] = frozenset()
) -> InputScaling:
    """Choose and scale features on the rows that teach.

    Args:
        data: features and targets.
        rows: horizon to the rows that teach it; nothing else is read.
        count: features to choose; all there are, where they are fewer.
        leave_out: columns that are never chosen.
    """
    used = np.unique(np.concatenate(list(rows.values())))
    columns = _choose(data, rows, used, count=count, leave_out=leave_out)
    centre, scale = [], []
    for column in columns:
        present = data.features[used, column]
        middle, spread = _middle_and_spread(present[np.isfinite(present)].astype(np.float64))
        centre.append(middle)
        scale.append(spread)
    return InputScaling(tuple(columns), tuple(centre), tuple(scale))


def _middle_and_spread(present: Floats) -> tuple[float, float]:
    if len(present) == 0:
        return 0.0, 1.0
    low, middle, high = np.quantile(present, [0.25, 0.5, 0.75])
    spread = (high - low) / _IQR_OF_NORMAL or float(np.std(present))
    return float(middle), float(spread) if spread > 0 else 1.0


def _choose(
    data: TrainingSet, rows: Mapping[int, Rows], used: Rows, *, count: int, leave_out: frozenset[int]
) -> list[int]:
    thinned = used[:: max(1, len(used) // _ROWS_RANKED)]
    ranks, present_share = _centred_ranks(data.features[thinned])
    score = np.mean([_score(ranks, thinned, data.targets[h].up, of_horizon) for h, of_horizon in rows.items()], axis=0)
    score[present_share < _MIN_PRESENT_SHARE] = -np.inf
    order = [int(column) for column in np.argsort(-score, kind="stable") if int(column) not in leave_out]
    length = np.sqrt((ranks**2).sum(axis=0)) + 1e-12
    chosen: list[int] = []
    copies: list[int] = []
    for column in order:
        if len(chosen) == count:
            break
        likeness = np.abs(ranks[:, chosen].T @ ranks[:, column]) / (length[chosen] * length[column])
        (copies if (likeness > _NEAR_COPY).any() else chosen).append(column)
    return (chosen + copies)[:count]


def _centred_ranks(features: Matrix) -> tuple[Matrix, Floats]:
    """Ranks of the present values from -0.5 to 0.5, ties shared, missing values in the middle."""
    ranks = np.zeros_like(features)
    present = np.isfinite(features)
    for column in range(features.shape[1]):
        values = features[present[:, column], column]
        ordered = np.sort(values)
        below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        ranks[present[:, column], column] = below / (2 * max(len(values), 1)) - 0.5
    return ranks, present.mean(axis=0)


def _score(ranks: Matrix, ranked_rows: Rows, up: Matrix, rows: Rows) -> Floats:
    """|mean correlation| over consecutive blocks less a share of its spread, float64 [features]."""
    known = np.flatnonzero(np.isin(ranked_rows, rows) & np.isfinite(up[ranked_rows]))
    correlations = []
    for block in np.array_split(known, _BLOCKS):
        outcome = up[ranked_rows[block]] - np.mean(up[ranked_rows[block]]) if len(block) else np.zeros(0)
        centred = ranks[block] - ranks[block].mean(axis=0) if len(block) else ranks[block]
        length = np.sqrt((centred**2).sum(axis=0) * (outcome**2).sum()) + 1e-9
        correlations.append((centred.T @ outcome) / length)
    found: Floats = np.abs(np.mean(correlations, axis=0)) - _SPREAD_PENALTY * np.std(correlations, axis=0)
    return found
