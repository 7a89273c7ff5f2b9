"""Tests of eth_pipeline.operations.config_audit: what ran when, and what changed in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.errors import NeedsHuman
from eth_pipeline.operations.config_audit import (
    FOLDER,
    HISTORY,
    ConfigChange,
    config_history,
    differences,
    record_configuration,
    stored_configuration,
)
from eth_pipeline.settings import Settings

NOON = datetime(2025, 6, 29, 12, tzinfo=UTC)


def record(home: Path, **overrides: Any) -> ConfigChange | None:
    return record_configuration(Settings(home=home, **overrides), now=NOON, command="hourly", commit="c0ffee")


def test_a_configuration_is_noted_when_it_changes_and_only_then(tmp_path: Path) -> None:
    first = record(tmp_path)
    assert first is not None
    assert (first.at, first.command, first.commit) == ("2025-06-29T12:00:00Z", "hourly", "c0ffee")
    assert first.user
    assert first.host
    assert record(tmp_path) is None
    second = record(tmp_path, base_interval="1h")
    assert second is not None
    back = record(tmp_path)
    assert back is not None
    assert [change.digest for change in config_history(tmp_path)] == [first.digest, second.digest, first.digest]


def test_two_configurations_are_compared_setting_by_setting(tmp_path: Path) -> None:
    one, two = record(tmp_path), record(tmp_path, base_interval="1h", account={"max_single_share": 0.1})
    assert one is not None
    assert two is not None
    before, after = (stored_configuration(tmp_path, change.digest[:10]) for change in (one, two))
    found = {item.setting: (item.before, item.after) for item in differences(before, after)}
    assert found == {"base_interval": ("15m", "1h"), "account.max_single_share": (0.2, 0.1)}
    assert differences(before, before) == ()


def test_no_password_is_stored(tmp_path: Path) -> None:
    change = record(tmp_path, postgres_url="postgresql://ops:hunter2@db/dagster")
    assert change is not None
    written = "".join(path.read_text() for path in (tmp_path / FOLDER).iterdir() if path.is_file())
    assert "hunter2" not in written
    assert stored_configuration(tmp_path, change.digest)["postgres_url"] == "postgresql://ops:***@db/dagster"


def test_a_line_torn_by_a_crash_costs_that_line(tmp_path: Path) -> None:
    record(tmp_path)
    with (tmp_path / FOLDER / HISTORY).open("a") as stream:
        stream.write('{"at": "2025-06-')
    assert len(config_history(tmp_path)) == 1
    assert record(tmp_path, base_interval="1h") is not None
    assert len(config_history(tmp_path)) == 2


def test_two_processes_at_once_note_a_change_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        noted = list(pool.map(lambda _: record(tmp_path), range(8)))
    assert sum(change is not None for change in noted) == 1
    assert len(config_history(tmp_path)) == 1


@pytest.mark.parametrize("name", ["nothere", "../../etc/passwd", "*"])
def test_a_name_that_names_nothing_is_refused(tmp_path: Path, name: str) -> None:
    record(tmp_path)
    with pytest.raises(NeedsHuman, match="config history"):
        stored_configuration(tmp_path, name)


def test_a_damaged_configuration_is_named_and_no_traceback(tmp_path: Path) -> None:
    digest = (record(tmp_path) or pytest.fail("nothing was noted")).digest
    (stored,) = (tmp_path / FOLDER).glob("*.json")
    for damage in (b"\xff\xfe", b"{ half"):
        stored.write_bytes(damage)
        with pytest.raises(NeedsHuman, match="cannot be read as JSON"):
            stored_configuration(tmp_path, digest)
