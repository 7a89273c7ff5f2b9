"""`search`: hyperparameters of the primary, each try a whole purged walk-forward in a worker process.

Belongs here: which parameters are tried, output. Does not belong: the walk-forward (`models.walk_forward`), the workers
(`cli.fan_out`). Every try leaves its daily series where trainings leave theirs, as soon as it ends: the deflated Sharpe
ratio of whatever is trained next knows how many were looked at, also where a search is broken off.
"""

import itertools
import random
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import polars as pl
import typer
from rich.table import Table

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.fan_out import Workers, fan_out
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.lake import Lake
from eth_pipeline.models.boosting import Boosting, BoostingParameters
from eth_pipeline.settings import load_settings

CHOICES: dict[str, tuple[float, ...]] = {
    "leaves": (7, 15, 31, 63),
    "min_rows_per_leaf": (100, 200, 400, 800),
    "feature_share": (0.1, 0.2, 0.3, 0.5),
    "learning_rate": (0.01, 0.02, 0.05),
    "l2": (0.1, 1.0, 10.0),
}
"""What is chosen from; everything else stays as `BoostingParameters` has it."""
LARGEST = 4 * 4 * 4 * 3 * 3


@dataclass(frozen=True)
class Scored:
    """One try: its out-of-fold forecasts, sign AUC by horizon, and what names it."""

    name: str
    symbol: str
    provenance: str
    versions: dict[str, int]
    auc: dict[int, float]
    oof: pl.DataFrame


def search(
    tries: Annotated[int, typer.Option(min=1, max=LARGEST, help="Parameter sets to try.")] = 20,
    seed: Annotated[int, typer.Option(help="Which ones; the same seed tries the same.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Tries at the same time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Scheduler of a running cluster, instead of workers here: tls://HOST:PORT.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score random hyperparameters by walk-forward, best first; every try counts against what is trained later."""
    with refuse_on_error():
        settings = load_settings()
        lake = Lake.of(settings)
        scored: list[tuple[BoostingParameters, Scored]] = []
        failed: list[str] = []
        asked = chosen(tries, seed=seed)
        for finished in fan_out(score, asked, workers=Workers(count=workers, cluster=cluster)):
            if finished.result is None:
                failed.append(finished.error or "it gave no reason")
                continue
            _keep(lake, finished.result, cost_bps=settings.training.round_trip_cost_bps)
            scored.append((finished.task, finished.result))
            err.print(f"{len(scored)}/{tries} {_varied(finished.task)}: {_aucs(finished.result)}", highlight=False)
        _show(scored, as_json=as_json)
        if failed:
            raise NeedsHuman(f"{len(failed)} of {tries} tries failed, first: {failed[0]}")
        if len({tuple(sorted(found.versions.items())) for _, found in scored}) > 1:
            raise NeedsHuman(
                "Features or labels changed during the search: its tries are not of the same rows. Repeat it."
            )


def chosen(tries: int, *, seed: int) -> list[BoostingParameters]:
    """`tries` different sets of parameters; the first of a longer search with the same seed are the same."""
    every = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
    random.Random(seed).shuffle(every)  # noqa: S311  # a search, no secret
    return [replace(BoostingParameters(threads=1), **values) for values in every[:tries]]  # type: ignore[arg-type]  # by name


def score(parameters: BoostingParameters) -> Scored:
    """One walk-forward on the newest features and labels."""
    from eth_pipeline.defs.assets.training_set import pinned_training_set
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.models.baselines import find_volatility_feature
    from eth_pipeline.models.metrics import auc
    from eth_pipeline.models.walk_forward import walk_forward
    from eth_pipeline.registry.tried import try_id

    settings, forecaster = load_settings(), Boosting(parameters)
    pinned = pinned_training_set(Pipeline())
    volatility = find_volatility_feature(pinned.data.feature_names, None)
    walk = walk_forward(pinned.data, forecaster, settings=settings.training, volatility_feature=volatility)
    found = {}
    for horizon in pinned.data.horizons_hours:
        rows = walk.oof.filter(horizon_hours=horizon)
        found[horizon] = auc(rows["probability"].to_numpy(), rows["up"].cast(pl.Float64).to_numpy())
    return Scored(
        name=try_id(
            parameters_digest=forecaster.digest(), feature_names=pinned.data.feature_names, settings=settings.training
        ),
        symbol=pinned.data.symbol,
        provenance=pinned.data.provenance,
        versions=pinned.versions,
        auc=found,
        oof=walk.oof,
    )


def _keep(lake: Lake, found: Scored, *, cost_bps: float) -> None:
    from eth_pipeline.models.algorithms import LIGHTGBM
    from eth_pipeline.registry.tried import store_tried

    store_tried(
        lake,
        found.oof,
        name=found.name,
        algorithm=LIGHTGBM,
        symbol=found.symbol,
        provenance=found.provenance,
        cost_bps=cost_bps,
    )


def _show(scored: list[tuple[BoostingParameters, Scored]], *, as_json: bool) -> None:
    best = sorted(scored, key=lambda each: (-each[1].auc[min(each[1].auc)], each[1].name))
    if as_json:
        print_json([{"try": s.name, "parameters": asdict(p), "out_of_fold_auc": s.auc} for p, s in best])
        return
    table = Table(title="Out-of-fold sign AUC by horizon", title_justify="left")
    for name in (*CHOICES, "AUC"):
        table.add_column(name)
    for parameters, found in best:
        table.add_row(*(f"{getattr(parameters, name):g}" for name in CHOICES), _aucs(found))
    out.print(table)
    out.print(f"The best of {len(best)} flatters itself: the next training's deflated Sharpe ratio counts all of them.")


def _varied(parameters: BoostingParameters) -> str:
    return ", ".join(f"{name} {getattr(parameters, name):g}" for name in CHOICES)


def _aucs(found: Scored) -> str:
    return ", ".join(f"{horizon} h {value:.4f}" for horizon, value in sorted(found.auc.items()))
