"""`search`: hyperparameters of an algorithm, each try a whole purged walk-forward in a worker process.

Belongs here: arguments, scoring, output. Does not belong: what is chosen from (`search_space`), the walk-forward
(`models.walk_forward`), the workers (`fan_out`). Every try leaves its daily series where trainings leave theirs, as
soon as it ends: the deflated Sharpe ratio of whatever is trained next knows how many were looked at, also where a
search is broken off.
"""

from dataclasses import dataclass
from typing import Annotated

import polars as pl
import typer

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.training.fan_out import Crew, Workers, crew
from eth_pipeline.cli.training.search_space import CHOICES, LARGEST, Try, chosen, forecaster_of
from eth_pipeline.cli.training.symbol_home import prepare_symbol, require_symbols, settings_of
from eth_pipeline.cli.words import headed
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.lake import Lake
from eth_pipeline.models.algorithms import LIGHTGBM
from eth_pipeline.settings import Language, load_settings


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
    tries: Annotated[int, typer.Option(min=1, help="Parameter sets to try, for each symbol.")] = 20,
    seed: Annotated[int, typer.Option(help="Which ones; the same seed tries the same.")] = 1,
    algorithm: Annotated[str, typer.Option(help=f"{', '.join(CHOICES)}.")] = LIGHTGBM,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Traded symbol; repeat for several. The settings' one alone.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Tries at the same time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Scheduler of a running cluster, instead of workers here: tls://HOST:PORT.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score random hyperparameters by walk-forward, best first; every try counts against what is trained later."""
    with refuse_on_error():
        settings, where = load_settings(), Workers(count=workers, cluster=cluster)
        symbols = tuple(dict.fromkeys(symbol or (settings.symbol,)))
        require_symbols(settings, symbols)
        _require_choices(algorithm, tries=tries)
        asked = [each for name in symbols for each in chosen(tries, seed=seed, algorithm=algorithm, symbol=name)]
        scored: list[tuple[Try, Scored]] = []
        failed: list[str] = []
        with crew(where) as hands:
            _prepare(tuple(name for name in symbols if name != settings.symbol), hands=hands)
            for finished in hands.fan_out(score, asked):
                if finished.result is None:
                    failed.append(finished.error or "it gave no reason")
                    continue
                _keep(finished.task, finished.result)
                scored.append((finished.task, finished.result))
                told = f"{len(scored)}/{len(asked)} {finished.task}: {_aucs(finished.result)}"
                err.print(told, highlight=False, markup=False)
        _show(scored, language=settings.language, as_json=as_json)
        if failed:
            raise NeedsHuman(f"{len(failed)} of {len(asked)} tries failed, first: {failed[0]}")
        rows = {(found.symbol, tuple(sorted(found.versions.items()))) for _, found in scored}
        if len(rows) > len(symbols):
            raise NeedsHuman(
                "Features or labels changed during the search: its tries are not of the same rows. Repeat it."
            )


def score(tried: Try) -> Scored:
    """One walk-forward on the newest features and labels of its symbol."""
    from eth_pipeline.defs.assets.training_set import pinned_training_set
    from eth_pipeline.defs.resources import Pipeline
    from eth_pipeline.features.panel import prefix
    from eth_pipeline.models.baselines import find_volatility_feature
    from eth_pipeline.models.figures.metrics import auc
    from eth_pipeline.models.walk_forward import walk_forward
    from eth_pipeline.registry.runs.tried import try_id

    with settings_of(tried.symbol) as settings:
        pinned = pinned_training_set(Pipeline())
    prefixes = tuple(map(prefix, settings.cross_symbols))
    forecaster = forecaster_of(tried, cross_prefixes=prefixes, networks=settings.networks)
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


def _require_choices(algorithm: str, *, tries: int) -> None:
    """Refuse an algorithm that nobody knows, and more tries than there are.

    Raises:
        SettingsInvalid: either.
    """
    if algorithm not in CHOICES:
        raise SettingsInvalid(f"No algorithm is called {algorithm!r}. Choose from: {', '.join(CHOICES)}.")
    if tries > LARGEST[algorithm]:
        raise SettingsInvalid(f"{algorithm} has {LARGEST[algorithm]} parameter sets to try. Give --tries up to that.")


def _prepare(symbols: tuple[str, ...], *, hands: Crew) -> None:
    """Features of other symbols, up to date in their homes.

    Raises:
        NeedsHuman: some could not be computed.
    """
    broken = [done.error for done in hands.fan_out(prepare_symbol, symbols) if done.error is not None]
    if broken:
        raise NeedsHuman(broken[0])


def _keep(tried: Try, found: Scored) -> None:
    from eth_pipeline.registry.runs.tried import store_tried

    with settings_of(tried.symbol) as settings:
        store_tried(
            Lake.of(settings),
            found.oof,
            name=found.name,
            algorithm=tried.algorithm,
            symbol=found.symbol,
            provenance=found.provenance,
            cost_bps=settings.training.round_trip_cost_bps,
        )


def _show(scored: list[tuple[Try, Scored]], *, language: Language, as_json: bool) -> None:
    best = sorted(scored, key=lambda each: (-each[1].auc[min(each[1].auc)], each[1].name))
    if as_json:
        print_json(
            [
                {
                    "try": found.name,
                    "symbol": tried.symbol,
                    "algorithm": tried.algorithm,
                    "parameters": dict(tried.values),
                    "out_of_fold_auc": found.auc,
                }
                for tried, found in best
            ]
        )
        return
    table = headed("Out-of-fold sign AUC by horizon", "symbol", language=language)
    for code in (*(dict(best[0][0].values) if best else ()), "AUC"):
        table.add_column(code)
    for tried, found in best:
        table.add_row(tried.symbol, *(f"{value:g}" for _, value in tried.values), _aucs(found))
    out.print(table)
    out.print(f"The best of {len(best)} flatters itself: the next training's deflated Sharpe ratio counts all of them.")


def _aucs(found: Scored) -> str:
    return ", ".join(f"{horizon} h {value:.4f}" for horizon, value in sorted(found.auc.items()))
