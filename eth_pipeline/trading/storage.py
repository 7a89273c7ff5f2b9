"""The account in the lake: its ledger, and the snapshot that saves replaying it.

Belongs here: reading and appending. Does not belong: what events mean (`ledger`), what a snapshot holds (`memory`).

A snapshot is written every `SNAPSHOT_EVENTS` events, so a step reads at most about that many, however long the
account has run. It counts only where its digest is right, it was made with the settings of today, and the last event
it has seen is in the ledger as it saw it; else the whole ledger is replayed, which gives the same account.
"""

import logging

import polars as pl
from deltalake.exceptions import DeltaError

from eth_pipeline.contracts.table import INSTANT, Column, TableContract
from eth_pipeline.lake import Lake
from eth_pipeline.settings import Settings
from eth_pipeline.trading.book import Book
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, Event, events_from_frame, frame_from_events
from eth_pipeline.trading.memory import Memory, from_text, to_text

SNAPSHOT_EVENTS = 100

ACCOUNT_SNAPSHOTS = TableContract(
    name="account_snapshots",
    row_is="the newest snapshot of the paper account of one symbol in one phase; a cache, the ledger is the account",
    key=("symbol", "phase"),
    columns=(
        Column("symbol", pl.String, "text", "Traded symbol."),
        Column("phase", pl.String, "text", "`paper` or `live`."),
        Column("available_at", INSTANT, "instant, UTC", "When the newest event it has seen was known."),
        Column("events", pl.Int64, "count", "Ledger events it has seen."),
        Column("memory", pl.String, "JSON", "The account after them, see `trading.memory`."),
        Column("digest", pl.String, "sha256", "Of the memory and its layout; a snapshot that disagrees is ignored."),
        Column("provenance", pl.String, "text", "`binance`, `replay` or `simulated`."),
    ),
)

_UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException, DeltaError)
"""What reading a table raises whose files are damaged or gone; a torn parquet file is a panic."""
_LOG = logging.getLogger("eth_pipeline.trading")


def read_book(lake: Lake, *, settings: Settings) -> Book:
    """The account of the settings' symbol and phase, ready to go on; a book without events where there is none."""
    memory = _read_memory(lake, settings=settings)
    if memory is not None:
        seen = memory.state.events
        events = read_events(lake, settings=settings, first=seen - 1)
        if events and events[0] == memory.last_event:
            return Book(events[1:], settings=settings.account, memory=memory)
    return Book(read_events(lake, settings=settings), settings=settings.account)


def read_events(lake: Lake, *, settings: Settings, first: int = 0) -> tuple[Event, ...]:
    """The ledger of the settings' symbol and phase, from the event of sequence `first` on."""
    _upgrade(lake)
    where = _account(settings) & (pl.col("sequence") >= first)
    return events_from_frame(lake.read(ACCOUNT_EVENTS, where=where))


def append(lake: Lake, book: Book, *, settings: Settings, provenance: str) -> None:
    """Store the new events of `book` in one commit, and a snapshot when one is due."""
    if not book.new_events:
        return
    rows = frame_from_events(book.new_events, symbol=settings.symbol, phase=settings.phase, provenance=provenance)
    lake.upsert(ACCOUNT_EVENTS, rows)
    if len(book.events) >= SNAPSHOT_EVENTS:
        _write_memory(lake, book.memory(), settings=settings, provenance=provenance)


def _account(settings: Settings) -> pl.Expr:
    return (pl.col("symbol") == settings.symbol) & (pl.col("phase") == settings.phase)


def _read_memory(lake: Lake, *, settings: Settings) -> Memory | None:
    try:
        rows = lake.read(ACCOUNT_SNAPSHOTS, where=_account(settings), columns=["memory", "digest"])
    except _UNREADABLE:
        return None
    if rows.height != 1:
        return None
    memory = from_text(rows["memory"][0], digest=rows["digest"][0])
    return memory if memory is not None and memory.peak_since == settings.account.drawdown_since else None


def _write_memory(lake: Lake, memory: Memory, *, settings: Settings, provenance: str) -> None:
    """Replace the snapshot; a damaged table is written anew, which other accounts survive by replaying.

    The ledger is stored by now, so a snapshot that cannot be written is a warning and no failure.
    """
    text, digest = to_text(memory)
    rows = pl.DataFrame(
        {
            "symbol": settings.symbol,
            "phase": settings.phase,
            "available_at": [memory.last_event.available_at],
            "events": memory.state.events,
            "memory": text,
            "digest": digest,
            "provenance": provenance,
        },
        schema=ACCOUNT_SNAPSHOTS.schema,
    )
    try:
        try:
            lake.upsert(ACCOUNT_SNAPSHOTS, rows)
        except _UNREADABLE:
            lake.replace(ACCOUNT_SNAPSHOTS, rows)
    except _UNREADABLE as error:
        _LOG.warning(
            "The snapshot table %s cannot be written (%s), so every step replays the whole ledger. It is a cache: "
            "delete the folder, the next step makes a new one.",
            lake.uri(ACCOUNT_SNAPSHOTS),
            str(error).splitlines()[0],
        )


def _upgrade(lake: Lake) -> None:
    """Give a ledger written before 2026-11-22 its column `reference_usdt`, empty: its slippage was not recorded."""
    if lake.version(ACCOUNT_EVENTS) is None or lake.is_current(ACCOUNT_EVENTS):
        return
    before = [name for name in ACCOUNT_EVENTS.schema if name != "reference_usdt"]
    rows = lake.read(ACCOUNT_EVENTS, columns=before)
    lake.replace(ACCOUNT_EVENTS, rows.with_columns(reference_usdt=pl.lit(None, pl.Float64)))
