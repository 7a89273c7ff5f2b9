"""Events that are stored together, as everything that a run plans is: all of them, or none in any file."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from dagster import AssetKey, DagsterEventType, EventLogEntry
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster_shared.serdes.errors import SerializationError

from eth_pipeline.defs.storage.sqlite import OpenEventLog

KEYS = tuple(AssetKey(name) for name in ("klines", "features", "signals"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[OpenEventLog]:
    made = OpenEventLog(str(tmp_path / "ours"))
    yield made
    made.dispose()


def entry(run_id: str, *, second: int, event: DagsterEvent | None = None, message: str = "") -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]  # dagster left its constructor without types
        error_info=None,
        level=20,
        user_message=message,
        run_id=run_id,
        timestamp=1_750_000_000.0 + second,
        job_name="hourly",
        dagster_event=event,
    )


def planned(run_id: str, key: AssetKey, *, second: int) -> EventLogEntry:
    data = AssetMaterializationPlannedData(asset_key=key)
    kind = DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
    event = DagsterEvent(event_type_value=kind, job_name="hourly", event_specific_data=data)
    return entry(run_id, second=second, event=event)


def batch() -> list[EventLogEntry]:
    """What two runs plan, and a line that is in no index."""
    return [
        *(planned("run-1", key, second=number) for number, key in enumerate(KEYS)),
        entry("run-1", second=3, message="a line"),
        *(planned("run-2", key, second=4 + number) for number, key in enumerate(KEYS[:2])),
    ]


def unstorable(run_id: str) -> EventLogEntry:
    """Dagster finds out only when it writes it down."""
    return entry(run_id, second=9)._replace(user_message=object())  # type: ignore[arg-type]  # that is its fault


def stored(log: SqliteEventLogStorage) -> tuple[object, ...]:
    """Everything a page would show of the batch."""
    lines = tuple(tuple(log.get_logs_for_run(run_id)) for run_id in ("run-1", "run-2"))
    numbers = tuple(
        tuple(record.storage_id for record in log.get_records_for_run(run_id).records) for run_id in ("run-1", "run-2")
    )
    wanted = dg.EventRecordsFilter(event_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    plans = tuple((each.run_id, each.asset_key) for each in log.get_event_records(wanted))
    assets = {each.asset_entry.asset_key: each.asset_entry.last_run_id for each in log.get_asset_records(KEYS)}
    return lines, numbers, plans, assets


def test_a_batch_leaves_what_dagsters_own_storage_leaves(log: OpenEventLog, tmp_path: Path) -> None:
    log.store_event_batch(batch())
    theirs = SqliteEventLogStorage(str(tmp_path / "theirs"))
    for event in batch():
        theirs.store_event(event)
    assert stored(log) == stored(theirs)
    assert [len(lines) for lines in stored(log)[0]] == [4, 2]  # type: ignore[attr-defined]  # a tuple of tuples
    theirs.dispose()


def test_a_batch_that_fails_leaves_nothing_in_any_file(log: OpenEventLog) -> None:
    """Half of what a run planned would be assets that wait for ever for a run that knows nothing of them."""
    with pytest.raises(SerializationError):
        log.store_event_batch([*batch(), unstorable("run-2")])
    assert [log.get_logs_for_run(run_id) for run_id in ("run-1", "run-2")] == [[], []]
    assert log.get_asset_records(KEYS) == []
    with log.index_connection() as connection:
        assert connection.execute(db.text("SELECT count(*) FROM event_logs")).scalar() == 0
    log.store_event_batch(batch())
    assert [len(log.get_logs_for_run(run_id)) for run_id in ("run-1", "run-2")] == [4, 2]


def test_an_empty_batch_is_none(log: OpenEventLog) -> None:
    log.store_event_batch([])
    assert log.get_asset_records(KEYS) == []


def test_a_batch_is_seen_whole_or_not_at_all(log: OpenEventLog, tmp_path: Path) -> None:
    """Another process has the same files open, and looks while the batch is being written."""
    web = OpenEventLog(str(tmp_path / "ours"))
    log.store_event_batch([planned("run-0", KEYS[0], second=0)])
    seen: list[int] = []

    class Watched(list[EventLogEntry]):
        """Looks from the other side before each event that is stored."""

        def __iter__(self) -> Iterator[EventLogEntry]:
            for event in super().__iter__():
                seen.append(len(web.get_asset_records(KEYS)))
                yield event

    log.store_event_batch(Watched(batch()))
    assert set(seen) == {1}, "only what was there before"
    assert len(web.get_asset_records(KEYS)) == 3
    assert len(web.get_logs_for_run("run-1")) == 4
    web.dispose()
