"""Writes the splits of skfolio's splitters that our folds must agree with, as skfolio_splits.json beside this file.

skfolio pulls in a convex solver stack that the project has no use for, so it is no dependency: the splits were
generated once and the test reads the file. To generate them again:

    python -m venv ORACLE && ORACLE/bin/pip install skfolio==1.12.2
    ORACLE/bin/python eth_pipeline_tests/oracles/skfolio_splits.py

One split is {"learn": [first, last], "test": [first, last]}, row numbers, both ends included. For the combinatorial
splitter only those splits are kept whose test folds are the newest ones: the others learn from the future.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from skfolio.model_selection import CombinatorialPurgedCV, WalkForward

ROWS, TEST_ROWS = 1_000, 100
GAPS = (5, 11, 29, 48)
"""Rows between learning and test: horizon plus embargo, less the row that ends exactly at the limit."""
ROLLING_ROWS = 250


def ends(rows: np.ndarray) -> list[int]:
    """First and last of consecutive row numbers."""
    assert (np.diff(rows) == 1).all()
    return [int(rows[0]), int(rows[-1])]


def walk_forward(*, gap: int, expanding: bool) -> list[dict[str, list[int]]]:
    """Purged walk-forward; the first test window starts at row 300."""
    learn = 300 - gap if expanding else ROLLING_ROWS
    splitter = WalkForward(test_size=TEST_ROWS, train_size=learn, purged_size=gap, expand_train=expanding)
    return [{"learn": ends(learn), "test": ends(test)} for learn, test in splitter.split(np.zeros((ROWS, 1)))]


def newest_folds(*, gap: int) -> list[dict[str, list[int]]]:
    """Combinatorial purged cross-validation, the splits that test the newest 2, 3 ... 7 of ten folds."""
    found = []
    for tested in range(2, 8):
        splitter = CombinatorialPurgedCV(n_folds=10, n_test_folds=tested, purged_size=gap, embargo_size=0)
        for learn, tests in splitter.split(np.zeros((ROWS, 1))):
            if min(test[0] for test in tests) == ROWS - tested * TEST_ROWS:
                found.append({"learn": ends(learn), "test": ends(np.sort(np.concatenate(tests)))})
    return found


if __name__ == "__main__":
    splits = {
        "skfolio": version("skfolio"),
        "rows": ROWS,
        "test_rows": TEST_ROWS,
        "rolling_rows": ROLLING_ROWS,
        "expanding": {gap: walk_forward(gap=gap, expanding=True) for gap in GAPS},
        "rolling": {gap: walk_forward(gap=gap, expanding=False) for gap in GAPS},
        "newest_folds": {gap: newest_folds(gap=gap) for gap in GAPS},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(splits, separators=(",", ":")) + "\n")
