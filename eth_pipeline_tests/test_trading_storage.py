"""The account in a real lake: a step costs what is new, and a snapshot is never trusted more than the ledger."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.lake import Lake
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.settings import Settings
from eth_pipeline.trading.account import account_risk, advance_account, held_share, read_events
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, AccountState, replay
from eth_pipeline.trading.storage import ACCOUNT_SNAPSHOTS, SNAPSHOT_EVENTS, read_book
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, signal, walk

SETTINGS = sample_settings()
HOURS = 120


class ReadingLake(Lake):
    """A lake that counts the ledger rows it hands out."""

    rows_read = 0

    def read(self, table: TableContract, **how: object) -> pl.DataFrame:  # type: ignore[override]  # counts, then reads
        rows = super().read(table, **how)  # type: ignore[arg-type]  # handed through
        self.rows_read += rows.height if table is ACCOUNT_EVENTS else 0
        return rows


def fill(lake: Lake, folder: Path) -> None:
    """Prices, funding and reversing signals of `HOURS` hours."""
    prices = walk(HOURS, seed=5)
    lake.upsert(KLINES, bars(prices, first=NOON))
    lake.upsert(MARK_KLINES, mark_bars(prices, first=NOON))
    lake.upsert(FUNDING_RATES, funding({NOON + n * HOUR: 0.0001 for n in range(4, HOURS, 8)}))
    nets = [(60, 60, -60, 0)[n // 4 % 4] for n in range(HOURS)]
    records = [signal(SETTINGS, NOON + n * HOUR, net=net) for n, net in enumerate(nets)]
    SignalLog(lake, folder=folder).write_many(records)


@pytest.fixture
def lake(tmp_path: Path) -> ReadingLake:
    made = ReadingLake(str(tmp_path / "lake"))
    fill(made, tmp_path / "logs")
    return made


def advance(lake: Lake, hours: float, settings: Settings = SETTINGS) -> AccountState:
    return advance_account(lake=lake, settings=settings, until=NOON + hours * HOUR)


def snapshots(lake: Lake) -> pl.DataFrame:
    return lake.read(ACCOUNT_SNAPSHOTS)


def test_steps_over_snapshots_give_the_ledger_of_one_go(lake: ReadingLake, tmp_path: Path) -> None:
    for hour in (50, 90, 91, 92, 110, HOURS):
        state = advance(lake, hour)
    assert snapshots(lake)["events"][0] > SNAPSHOT_EVENTS
    other = Lake(str(tmp_path / "at_once"))
    fill(other, tmp_path / "other_logs")
    assert advance(other, HOURS) == state == replay(read_events(lake, settings=SETTINGS))
    assert other.read(ACCOUNT_EVENTS).equals(lake.read(ACCOUNT_EVENTS))


def test_a_step_reads_what_is_new_and_not_the_whole_ledger(lake: ReadingLake) -> None:
    """Each hourly step replayed everything: after five years 60,000 events for one new hour."""
    events = advance(lake, HOURS - 1).events
    assert events > SNAPSHOT_EVENTS
    lake.rows_read = 0
    advance(lake, HOURS)
    assert 0 < lake.rows_read < 10
    lake.rows_read = 0
    held_share(lake, settings=SETTINGS, mark_price=None)
    assert lake.rows_read < 10


def test_a_snapshot_is_written_only_when_enough_is_new(lake: ReadingLake) -> None:
    advance(lake, 10)
    assert lake.version(ACCOUNT_SNAPSHOTS) is None
    advance(lake, HOURS - 1)
    version = lake.version(ACCOUNT_SNAPSHOTS)
    assert version is not None
    advance(lake, HOURS)
    assert lake.version(ACCOUNT_SNAPSHOTS) == version


@pytest.mark.parametrize("damage", ["changed", "cut", "digest", "files", "log", "none"])
def test_a_damaged_or_missing_snapshot_falls_back_to_the_ledger(
    lake: ReadingLake, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the account it gives is the same; the next snapshot repairs the table."""
    advance(lake, HOURS - 1)
    rows, folder = snapshots(lake), Path(lake.uri(ACCOUNT_SNAPSHOTS))
    if damage in ("changed", "cut", "digest"):
        memory = pl.col("memory")
        broken = {
            "changed": rows.with_columns(memory.str.replace(r'"cash_usdt":\d', '"cash_usdt":5')),
            "cut": rows.with_columns(memory.str.head(200)),
            "digest": rows.with_columns(digest=pl.lit("")),
        }[damage]
        assert not broken.equals(rows)
        lake.upsert(ACCOUNT_SNAPSHOTS, broken)
    elif damage != "none":
        for file in folder.rglob("*.parquet" if damage == "files" else "*.json"):
            file.write_bytes(b"torn")
    lake.rows_read = 0
    state = advance(lake, HOURS)
    assert (lake.rows_read > SNAPSHOT_EVENTS) == (damage != "none")
    events = read_events(lake, settings=SETTINGS)
    assert state == replay(events)
    expected = [event for event in events if event.kind == "mark"]
    assert len(expected) == HOURS
    if damage == "log":
        assert "It is a cache: delete the folder" in caplog.text
    elif damage != "none":
        assert snapshots(lake)["events"][0] == state.events


def test_a_snapshot_of_a_ledger_that_was_set_back_is_not_used(lake: ReadingLake) -> None:
    """An operator restores the ledger table to an older version; the snapshot knows events that are gone."""
    advance(lake, 60)
    version = lake.version(ACCOUNT_EVENTS)
    assert version is not None
    before = read_events(lake, settings=SETTINGS)
    advance(lake, HOURS)
    DeltaTable(lake.uri(ACCOUNT_EVENTS)).restore(version)
    assert read_book(lake, settings=SETTINGS).state == replay(before)
    assert advance(lake, HOURS).processed_until == NOON + HOURS * HOUR


def test_a_snapshot_of_another_ledger_of_the_same_length_is_not_used(lake: ReadingLake) -> None:
    advance(lake, HOURS)
    changed = lake.read(ACCOUNT_EVENTS).with_columns(
        note=pl.when(pl.col("sequence") == snapshots(lake)["events"][0] - 1)
        .then(pl.lit("other"))
        .otherwise(pl.col("note"))
    )
    lake.replace(ACCOUNT_EVENTS, changed)
    lake.rows_read = 0
    read_book(lake, settings=SETTINGS)
    assert lake.rows_read > SNAPSHOT_EVENTS


def test_another_begin_of_the_drawdown_counts_the_peak_anew(lake: ReadingLake) -> None:
    advance(lake, HOURS)
    moved = sample_settings(account={"drawdown_since": NOON + (HOURS - 1) * HOUR})
    book = read_book(lake, settings=moved)
    assert book.state == read_book(lake, settings=SETTINGS).state
    newest = [point.equity_usdt for point in book.memory().equity][-2:]
    assert book.memory().peak_equity_usdt <= max(newest) + 1e-9
    assert read_book(lake, settings=SETTINGS).memory().peak_equity_usdt > max(newest)


def test_accounts_of_two_phases_have_their_own_snapshot_and_ledger(lake: ReadingLake, tmp_path: Path) -> None:
    live = sample_settings(phase="live")
    SignalLog(lake, folder=tmp_path / "live").write_many(
        [signal(live, NOON + n * HOUR, net=-60.0) for n in range(HOURS)]
    )
    paper = advance(lake, HOURS)
    other = advance(lake, HOURS, live)
    assert snapshots(lake).height == 2
    assert paper != other
    assert read_book(lake, settings=SETTINGS).state == paper
    assert read_book(lake, settings=live).state == other


def test_a_ledger_from_before_the_reference_price_is_carried_over(lake: ReadingLake) -> None:
    """The first release of the account had no such column; reading its table failed."""
    advance(lake, 60)
    rows = lake.read(ACCOUNT_EVENTS)
    columns = tuple(column for column in ACCOUNT_EVENTS.columns if column.name != "reference_usdt")
    old = TableContract(ACCOUNT_EVENTS.name, ACCOUNT_EVENTS.row_is, ACCOUNT_EVENTS.key, columns)
    lake.replace(old, rows.drop("reference_usdt"))
    assert not lake.is_current(ACCOUNT_EVENTS)
    state = advance(lake, HOURS)
    assert lake.is_current(ACCOUNT_EVENTS)
    assert state.processed_until == NOON + HOURS * HOUR
    kept = lake.read(ACCOUNT_EVENTS).head(rows.height)
    assert kept.drop("reference_usdt").equals(rows.drop("reference_usdt"))
    assert kept["reference_usdt"].null_count() == rows.height


def test_the_risk_of_a_stored_account_has_the_loss_and_the_switch(lake: ReadingLake) -> None:
    strict = sample_settings(account={"max_drawdown_share": 0.0001})
    assert account_risk(lake, settings=strict, now=NOON, kill_switch=None).allow_open
    advance(lake, HOURS, strict)
    now = NOON + timedelta(hours=HOURS)
    assert "below its peak" in account_risk(lake, settings=strict, now=now, kill_switch=None).reason
    assert "drill" in account_risk(lake, settings=SETTINGS, now=now, kill_switch="drill").reason
