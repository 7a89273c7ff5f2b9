"""Purged walk-forward folds: which rows may teach, which may stop and calibrate, which are scored.

Belongs here: row selection by time and label interval. Does not belong: training, scoring.

In time, one fold looks like this (refit at `test_start`, all gaps by label interval, not by row number):

    |---------- train ----------|purge+embargo|-- validation --|purge+embargo|--- test ---|
                                                                              test_start

A train or validation row is used only when its label had ended before `test_start - embargo`; a train row
only when its label had ended before the first validation row minus the embargo. Validation is the newest
part of the training span; it stops and calibrates, so nothing is reported on it.

Source: M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7, in its one-way form.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.models.dataset import Mask, Rows, Times

_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Fold:
    """Row numbers of one refit, each int64 and increasing; `index` counts test windows from the first."""

    index: int
    test_start: np.datetime64
    train: Rows
    validation: Rows
    test: Rows

    @property
    def learn(self) -> Rows:
        """Train and validation rows together: what the refit after early stopping learns from."""
        return np.concatenate([self.train, self.validation])


def walk_forward_folds(
    decision_time: Times,
    label_end: Times,
    *,
    refit_every_hours: int,
    min_train_hours: int,
    max_train_hours: int | None,
    embargo_hours: int,
    validation_share: float = 0.2,
) -> Iterator[Fold]:
    """Yield the folds of one horizon, oldest first; windows without rows to learn from or to score are skipped.

    Test windows start at the first decision time plus `min_train_hours` and follow each other without overlap,
    so they are the same for every horizon; only the purge differs.

    Args:
        decision_time: datetime64 [rows], increasing.
        label_end: datetime64 [rows], NaT where the label is unknown; such rows are never in any fold.
        refit_every_hours: length of one test window.
        min_train_hours: span before the first test window.
        max_train_hours: span before `test_start` that may be learnt from (rolling); None means everything
            (expanding).
        embargo_hours: further distance between the end of a label and the rows scored after it.
        validation_share: share of the learnable rows, the newest, set aside for stopping and calibration.

    Raises:
        SettingsInvalid: the history is too short for a single test window.
    """
    labelled = ~np.isnat(label_end)
    if not labelled.any():
        raise SettingsInvalid("No row has a label, so nothing can be learnt. Ingest more history than the horizon.")
    first, last = decision_time[0], decision_time[labelled][-1]
    start = first + min_train_hours * _HOUR
    if start > last:
        raise SettingsInvalid(
            f"The history spans {int((last - first) / _HOUR)} labelled hours and min_train_hours is {min_train_hours}: "
            "no test window is left. Ingest more history or lower training.min_train_hours."
        )
    index = 0
    while start <= last:
        test = labelled & (decision_time >= start) & (decision_time < start + refit_every_hours * _HOUR)
        train, validation = learnable_rows(
            decision_time,
            label_end,
            test_start=start,
            max_train_hours=max_train_hours,
            embargo_hours=embargo_hours,
            validation_share=validation_share,
        )
        if len(train) and len(validation) and test.any():
            yield Fold(index, start, train, validation, np.flatnonzero(test))
        start = start + refit_every_hours * _HOUR
        index += 1


def learnable_rows(
    decision_time: Times,
    label_end: Times,
    *,
    test_start: np.datetime64,
    max_train_hours: int | None,
    embargo_hours: int,
    validation_share: float = 0.2,
) -> tuple[Rows, Rows]:
    """Train and validation rows of a refit at `test_start`; arguments as in `walk_forward_folds`."""
    since = decision_time[0] if max_train_hours is None else test_start - max_train_hours * _HOUR
    known = (decision_time >= since) & (label_end < test_start - embargo_hours * _HOUR)
    return _split(decision_time, label_end, known, embargo_hours, validation_share)


def _split(
    decision_time: Times, label_end: Times, known: Mask, embargo_hours: int, validation_share: float
) -> tuple[Rows, Rows]:
    rows = np.flatnonzero(known)
    if len(rows) == 0:
        return rows, rows
    validation = rows[-max(1, math.floor(len(rows) * validation_share)) :]
    limit = decision_time[validation[0]] - embargo_hours * _HOUR
    return rows[label_end[rows] < limit], validation
