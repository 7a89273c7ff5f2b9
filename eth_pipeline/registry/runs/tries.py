"""How many configurations were tried on one history: the number that the multiple-testing gate divides by.

Belongs here: counting runs. Does not belong: the widening of the interval (`registry.promotions.gates`), what a
configuration's digest covers (`run_record`).

A configuration is a `parameters_digest`. Retraining the same one on newer rows looks for nothing new and is no try;
changing a hyperparameter, the features, the seed or (where hyperparameters are not logged) the code is one. A run
without a digest counts as one of its own, and so does a deleted one: deleting the failures is how 21 tries on one test
set become one. The history of a symbol from one origin is one history however long it grew, since most of its rows
are the same; another symbol, or simulated instead of exchange data, is another.
"""

from collections.abc import Iterable, Iterator
from typing import Any

_PAGE = 1000


def count_tries(runs: Iterable[Any], *, symbol: str | None, provenance: str | None, including: str | None) -> int:
    """Distinct configurations among `runs`.

    Args:
        runs: MLflow runs.
        symbol: only runs about it; None counts all. A run that does not say counts too.
        provenance: only runs on data of this origin, likewise.
        including: digest of a configuration about to be tried, counted whether it is new or not.
    """
    asked = {name: value for name, value in (("symbol", symbol), ("provenance", provenance)) if value is not None}
    tried = {including} if including is not None else set()
    for run in runs:
        params = run.data.params
        if all(params.get(name, value) == value for name, value in asked.items()):
            tried.add(params.get("parameters_digest", run.info.run_id))
    return len(tried)


def all_runs(client: Any, experiment_id: str, *, view: int) -> Iterator[Any]:
    """Every run of an experiment, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment_id], run_view_type=view, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
