"""`vintages`: train the models of past months, and let them forecast those months.

Belongs here: which months, algorithms and symbols, where, output. Does not belong: training (the assets
`model_vintage`, `historical_forecasts`, `other_vintage`), one task (`vintage_tasks`), the workers (`fan_out`).
Every vintage is a Dagster run of its own in a worker process, so one that fails costs one, and a rerun goes on with
those that are missing.
"""

import itertools
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from eth_pipeline.cli.console import err, out, print_json, refuse_on_error
from eth_pipeline.cli.training.fan_out import Workers, crew
from eth_pipeline.cli.training.symbol_home import home_of_symbol, prepare_symbol, require_symbols, settings_of
from eth_pipeline.cli.training.vintage_tasks import MONTH_FORMAT, VintageTask, is_done, train_one
from eth_pipeline.cli.words import headed
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.models.algorithms import ALGORITHMS, LIGHTGBM
from eth_pipeline.settings import Language, Settings, load_settings

app = typer.Typer(help="Models as they could have been trained in past months.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("train")
def train(
    first: Annotated[str, typer.Option("--from", help="First month, for example 2024-01.")],
    last: Annotated[str, typer.Option("--to", help="Last month, included.")],
    algorithm: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(ALGORITHMS)} or `all`; repeat for several. {LIGHTGBM} alone.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Traded symbol; repeat for several. The settings' one alone.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Vintages trained at the same time.")] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Scheduler of a running cluster, instead of workers here: tls://HOST:PORT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train vintages of months x algorithms x symbols and store what they forecast; what is done is skipped."""
    with refuse_on_error():
        settings = load_settings()
        symbols = tuple(dict.fromkeys(symbol or (settings.symbol,)))
        require_symbols(settings, symbols)
        asked = tasks(months(first, last), algorithms=known_algorithms(algorithm or [LIGHTGBM]), symbols=symbols)
        wanted = asked if force else [task for task in asked if not is_done(task)]
        where = Workers(count=workers, cluster=cluster)
        outcomes = dict.fromkeys(asked, "was there") | _run(wanted, settings=settings, workers=where)
        if not as_json:
            out.print(_table(outcomes, language=settings.language))
        else:
            print_json(
                [
                    {"symbol": t.symbol, "algorithm": t.algorithm, "month": t.month, "outcome": outcome}
                    for t, outcome in outcomes.items()
                ]
            )
        failed = {task: text for task, text in outcomes.items() if text.startswith("failed")}
        if failed:
            task, text = next(iter(failed.items()))
            raise NeedsHuman(f"{len(failed)} of {len(asked)} vintages failed, first {task.name}: {text}")


@app.command("list")
def list_vintages(as_json: AsJson = False) -> None:
    """Show the vintages of this home, those of other symbols included."""
    with refuse_on_error():
        from eth_pipeline.registry.runs.vintages import RECORD, VintageRecord

        settings = load_settings()
        homes = {symbol: home_of_symbol(settings, symbol) for symbol in settings.symbols}
        records = [
            (symbol, VintageRecord.model_validate_json(path.read_bytes()))
            for symbol, home in homes.items()
            for path in sorted((home / "vintages").glob(f"*/*/{RECORD}"))
        ]
    if as_json:
        print_json([{"symbol": symbol, **record.model_dump(mode="json")} for symbol, record in records])
        return
    columns = ("symbol", "algorithm", "month", "trained until", "rows (shortest horizon)", "commit")
    table = headed("Vintages", *columns, language=settings.language)
    for symbol, record in records:
        rows = f"{record.rows[min(record.rows)]:,}"
        until = f"{record.trained_until:%Y-%m-%d %H:%M}"
        table.add_row(symbol, record.algorithm, f"{record.cutoff:%Y-%m}", until, rows, record.code_commit[:12])
    out.print(table)


def months(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, as `2024-01`.

    Raises:
        SettingsInvalid: not months, or the wrong way round.
    """
    try:
        begin, end = (datetime.strptime(text, MONTH_FORMAT).replace(tzinfo=UTC) for text in (first, last))
    except ValueError as error:
        raise SettingsInvalid(f"{error}. Write months as 2024-01.") from error
    if end < begin:
        raise SettingsInvalid(f"The range {first} to {last} is empty. Give the earlier month first.")
    count = (end.year - begin.year) * 12 + end.month - begin.month
    numbers = [begin.year * 12 + begin.month - 1 + step for step in range(count + 1)]
    return [f"{number // 12}-{number % 12 + 1:02d}" for number in numbers]


def known_algorithms(names: list[str]) -> tuple[str, ...]:
    """The algorithms that these names stand for, each once; `all` is every one.

    Raises:
        SettingsInvalid: there is none of such a name.
    """
    if unknown := [name for name in names if name not in (*ALGORITHMS, "all")]:
        raise SettingsInvalid(
            f"No algorithm is called {', '.join(unknown)}. Choose from: {', '.join(ALGORITHMS)}, all."
        )
    return tuple(ALGORITHMS) if "all" in names else tuple(dict.fromkeys(names))


def tasks(asked: list[str], *, algorithms: tuple[str, ...], symbols: tuple[str, ...]) -> list[VintageTask]:
    """One per symbol, algorithm and month; networks first, since they take longest and would end alone."""
    call, slowest_first = uuid4().hex, sorted(algorithms, key=list(ALGORITHMS).index, reverse=True)
    return [VintageTask(*each, asked=call) for each in itertools.product(symbols, slowest_first, asked)]


def _run(wanted: list[VintageTask], *, settings: Settings, workers: Workers) -> dict[VintageTask, str]:
    """Outcome of every task; features of other symbols come first."""
    others = [name for name in dict.fromkeys(task.symbol for task in wanted) if name != settings.symbol]
    with crew(workers) as hands:
        broken = {done.task: done.error for done in hands.fan_out(prepare_symbol, others) if done.error}
        outcomes = {task: f"failed: {broken[task.symbol]}" for task in wanted if task.symbol in broken}
        left = [task for task in wanted if task.symbol not in broken]
        for done, finished in enumerate(hands.fan_out(train_one, left), start=1):
            outcomes[finished.task] = finished.result or f"failed: {finished.error}"
            told = f"{done}/{len(left)} {finished.task.name}: {outcomes[finished.task]}"
            err.print(told, highlight=False, markup=False)
    return outcomes


def _table(outcomes: dict[VintageTask, str], *, language: Language) -> Table:
    counted = {symbol: _forecasts(symbol) for symbol in {task.symbol for task in outcomes}}
    columns = ("symbol", "algorithm", "month", "outcome", "forecasts stored")
    table = headed("Vintages", *columns, language=language)
    for task, outcome in outcomes.items():
        stored = counted[task.symbol].get((task.algorithm, task.month), 0)
        table.add_row(task.symbol, task.algorithm, task.month, escape(outcome), f"{stored:,}")
    return table


def _forecasts(symbol: str) -> dict[tuple[str, str], int]:
    """Stored forecasts of a symbol by algorithm and month."""
    from eth_pipeline.contracts.model_tables import HISTORICAL_FORECASTS
    from eth_pipeline.lake import Lake

    with settings_of(symbol) as settings:
        stored = Lake.of(settings).read(HISTORICAL_FORECASTS, columns=["algorithm", "decision_time"])
    by_month = stored.group_by("algorithm", stored["decision_time"].dt.strftime(MONTH_FORMAT).alias("month")).len()
    return {(algorithm, month): rows for algorithm, month, rows in by_month.rows()}
