"""Log rotation: nothing that is still written is touched, nothing is lost before its time."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eth_pipeline.operations.log_rotation import Rotation, rotate_logs

NOW = datetime(2025, 6, 29, 12, tzinfo=UTC)


def lines(folder: Path, days_ago: int, *, suffix: str = "") -> Path:
    path = folder / f"signals_{NOW - timedelta(days=days_ago):%Y%m%d}.jsonl{suffix}"
    path.write_bytes(gzip.compress(b"old") if suffix else f"line of {days_ago} days ago\n".encode())
    return path


def test_old_lines_are_compressed_and_read_the_same(tmp_path: Path) -> None:
    old, content = lines(tmp_path, 30), b"line of 30 days ago\n"
    done = rotate_logs(tmp_path, now=NOW)
    assert done == Rotation((old.name,), (), ())
    assert not old.exists()
    assert gzip.decompress(old.with_name(f"{old.name}.gz").read_bytes()) == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{old.name}.gz"]


@pytest.mark.parametrize("days_ago", range(3))
def test_the_newest_days_are_left_alone(tmp_path: Path, days_ago: int) -> None:
    """A record of yesterday's last hour may come late."""
    path = lines(tmp_path, days_ago)
    assert rotate_logs(tmp_path, now=NOW, compress_after_days=2) == Rotation((), (), ())
    assert path.read_text() == f"line of {days_ago} days ago\n"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_very_old_lines_are_removed(tmp_path: Path, suffix: str) -> None:
    path = lines(tmp_path, 400, suffix=suffix)
    assert rotate_logs(tmp_path, now=NOW).removed == (path.name,)
    assert not path.exists()


def test_a_second_turn_changes_nothing(tmp_path: Path) -> None:
    for days_ago in (1, 30, 400):
        lines(tmp_path, days_ago)
    rotate_logs(tmp_path, now=NOW)
    before = sorted(tmp_path.iterdir())
    assert rotate_logs(tmp_path, now=NOW) == Rotation((), (), ())
    assert sorted(tmp_path.iterdir()) == before


def test_a_turn_that_was_killed_between_copy_and_removal_is_finished(tmp_path: Path) -> None:
    old = lines(tmp_path, 30)
    lines(tmp_path, 30, suffix=".gz")
    assert rotate_logs(tmp_path, now=NOW).compressed == (old.name,)
    assert gzip.decompress(old.with_name(f"{old.name}.gz").read_bytes()) == b"line of 30 days ago\n"


def test_a_process_log_that_grew_too_large_keeps_its_end_and_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    with path.open("a") as writer:
        writer.writelines(f"line {n}\n" for n in range(1000))
        writer.flush()
        assert rotate_logs(tmp_path, now=NOW, max_bytes=1000).cut == ("daemon.log",)
        writer.write("after\n")
    kept = path.read_text().splitlines()
    assert kept[-2:] == ["line 999", "after"]
    assert path.stat().st_size < 1000
    assert all(line.startswith("line ") for line in kept[:-1])


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "signals_notes.jsonl").write_text("mine")
    (tmp_path / ".signals.lock").write_text("")
    assert rotate_logs(tmp_path, now=NOW) == Rotation((), (), ())
    assert rotate_logs(tmp_path / "absent", now=NOW) == Rotation((), (), ())


@pytest.mark.parametrize(("compress", "keep"), [(1, 365), (30, 7)])
def test_limits_that_would_lose_lines_are_refused(tmp_path: Path, compress: int, keep: int) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        rotate_logs(tmp_path, now=NOW, compress_after_days=compress, keep_days=keep)
