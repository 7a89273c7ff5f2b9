"""Sample weights for labels that overlap in time.

Belongs here: how much of a label is its own. Does not belong: the labels (`labels.direction`), class weights.
"""

import numpy as np
from numpy.typing import NDArray

from eth_pipeline.errors import ContractViolation

_HOUR = np.timedelta64(1, "h")


def overlap_weights(decision_time: NDArray[np.datetime64], *, horizon_hours: int) -> NDArray[np.float64]:
    """Average uniqueness of each label (López de Prado 2018, Advances in Financial Machine Learning, 4.4).

    A label lives in the `horizon_hours` hours after its decision. In each of them its uniqueness is one over
    the number of labels alive, and its weight is the mean over its life. A label alone weighs 1; labels of
    every hour weigh 1 / horizon, more at the ends of the sample and beside holes. Only decision times enter, no
    prices, so a weight tells nothing about the future.

    Args:
        decision_time: full hours [rows], strictly increasing.
        horizon_hours: how long a label lives.

    Returns:
        float64 [rows], in (0, 1].

    Raises:
        ContractViolation: the horizon is not positive, or the times do not increase.
    """
    if horizon_hours < 1:
        raise ContractViolation(f"overlap_weights: a horizon of {horizon_hours} h has no life. Give at least 1.")
    if not len(decision_time):
        return np.zeros(0)
    hours = (decision_time.astype("datetime64[h]") - decision_time[0].astype("datetime64[h]")) // _HOUR
    start = hours.astype(np.int64)
    if (np.diff(start) <= 0).any():
        raise ContractViolation("overlap_weights: decision times must be increasing full hours. Sort, deduplicate.")
    edges = np.zeros(int(start[-1]) + horizon_hours + 1, dtype=np.int64)
    np.add.at(edges, start, 1)
    np.add.at(edges, start + horizon_hours, -1)
    alive = np.cumsum(edges)[:-1]
    share = np.divide(1.0, alive, out=np.zeros(len(alive)), where=alive > 0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    weights: NDArray[np.float64] = (total[start + horizon_hours] - total[start]) / horizon_hours
    return weights
