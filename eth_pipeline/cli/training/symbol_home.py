"""A home for another symbol below the one in use: its streams are the same tables, everything derived is its own.

Belongs here: where it is, which settings hold in it, making it. Does not belong: what is trained there
(`vintage_tasks`, `search`).

    <home>/symbols/BTCUSDT/
      lake/klines, ..      links to the streams and the gap ledger of the home's own lake
      lake/features, ..    of this symbol: columns, labels and forecasts are another symbol's
      dagster/             its runs; a month of another symbol is another month
      vintages/
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_pipeline.contracts.quality import GAP_LEDGER, QUARANTINE
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.operations.plan.spec import environment_for_symbol
from eth_pipeline.settings import Settings, load_settings

_SHARED = (*STREAMS, GAP_LEDGER.name, QUARANTINE.name)


def home_of_symbol(settings: Settings, symbol: str) -> Path:
    """The home in which `symbol` is the traded one; that of the settings for theirs."""
    return settings.home if symbol == settings.symbol else settings.home / "symbols" / symbol


def require_symbols(settings: Settings, symbols: tuple[str, ...]) -> None:
    """Make sure that every symbol can have a home here.

    Raises:
        SettingsInvalid: its rows are not ingested, or lake or Dagster storage are shared ones that hold one symbol.
    """
    others = [symbol for symbol in symbols if symbol != settings.symbol]
    if unknown := [symbol for symbol in others if symbol not in settings.symbols]:
        raise SettingsInvalid(
            f"{', '.join(unknown)} is not among the symbols of this home ({', '.join(settings.symbols)}). Add it to "
            "ETH_PIPELINE_CROSS_SYMBOLS and ingest it, or leave it out."
        )
    if others and (settings.postgres_url is not None or "://" in settings.lake_location):
        raise SettingsInvalid(
            "Another symbol beside the first needs a lake in a folder and Dagster's SQLite: a shared lake and a shared "
            "storage hold the features and runs of one symbol. Give it a lake, a database and a home of its own, and "
            "call this again with ETH_PIPELINE_SYMBOL."
        )


def link_streams(settings: Settings, symbol: str) -> None:
    """Let the home of `symbol` read the streams of this one; a table that is there already stays."""
    folder = home_of_symbol(settings, symbol) / "lake"
    if symbol == settings.symbol:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in _SHARED:
        table, link = Path(settings.lake_location).resolve() / name, folder / name
        if table.is_dir() and not link.exists():
            link.unlink(missing_ok=True)  # one that leads nowhere any more
            link.symlink_to(os.path.relpath(table, folder.resolve()))


@contextmanager
def settings_of(symbol: str) -> Iterator[Settings]:
    """The settings that hold in the home of `symbol`, also for everything that reads the environment meanwhile."""
    settings, before = load_settings(), dict(os.environ)
    if symbol != settings.symbol:
        home = home_of_symbol(settings, symbol)
        own = {"ETH_PIPELINE_HOME": str(home), "ETH_PIPELINE_LAKE_URL": str(home / "lake"), "DAGSTER_HOME": ""}
        os.environ.update(environment_for_symbol(symbol, symbols=settings.symbols) | own)
    try:
        yield load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


def prepare_symbol(symbol: str) -> str:
    """Bring features and labels of `symbol` up to its streams, in its home; returns what was done.

    What is there of the same streams, settings and code stays, as in a plan's stage: its versions are in every record.

    Raises:
        NeedsHuman: they could not be computed.
    """
    import dagster as dg

    from eth_pipeline.definitions import defs
    from eth_pipeline.defs.instance import open_instance
    from eth_pipeline.defs.plan_work import INPUTS_TAG, stage_work
    from eth_pipeline.lake import Lake

    link_streams(load_settings(), symbol)
    with settings_of(symbol) as settings, open_instance(settings) as instance:
        graph = defs.resolve_asset_graph()
        work = stage_work("plan_data", instance=instance, graph=graph, settings=settings, lake=Lake.of(settings))
        if not work.open:
            return "was there"
        job = defs.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={dg.AssetKey(name) for name in work.open}
        )
        result = job.execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={INPUTS_TAG: work.digest},
            raise_on_error=False,
        )
    if not result.success:
        raise NeedsHuman(f"Features and labels of {symbol} failed in {settings.home}: see run {result.run_id} there.")
    return "computed"
