"""The soak's host faults are real: a full disk, a lake nobody may write, a death in the middle.

Each acts in a process of its own, since two of the three cannot be taken back.
"""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.soak.host_clock import let_pass
from eth_pipeline.soak.host_faults import read_only

_TABLE = """
import sys
import polars as pl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from eth_pipeline.contracts.tables import FUNDING_RATES
from eth_pipeline.lake import Lake
from eth_pipeline.soak.host_faults import Touches, full_disk, lay_privileges_down

def rows(n):
    times = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=8 * i) for i in range(n)]
    frame = pl.DataFrame({"funding_time": times}).with_columns(
        symbol=pl.lit("ETHUSDT"), funding_rate=(pl.int_range(n) % 977) * 1e-6, interval_hours=pl.lit(8, pl.Int64),
        available_at=pl.col("funding_time"), source=pl.lit("api"), provenance=pl.lit("simulated"))
    return frame.select(list(FUNDING_RATES.schema)).cast(dict(FUNDING_RATES.schema))

lake = Lake(sys.argv[1])
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _TABLE + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_on_a_full_disk_delta_cannot_write_and_afterwards_it_can(tmp_path: Path) -> None:
    done = run(
        """
with full_disk(2_000):
    try:
        lake.upsert(FUNDING_RATES, rows(50_000))
    except Exception as error:
        print("refused", type(error).__name__)
print(lake.read(FUNDING_RATES).height, lake.upsert(FUNDING_RATES, rows(50_000)).inserted)
""",
        tmp_path / "lake",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("refused")
    assert done.stdout.splitlines()[1] == "0 50000"


def test_a_read_only_lake_refuses_writers_with_and_without_privileges_and_gives_its_modes_back(tmp_path: Path) -> None:
    run("lake.upsert(FUNDING_RATES, rows(10))", tmp_path / "lake")
    before = {path: path.stat().st_mode for path in (tmp_path / "lake").rglob("*")}
    with read_only(tmp_path / "lake"):
        done = run("lay_privileges_down()\nlake.upsert(FUNDING_RATES, rows(20))", tmp_path / "lake")
    assert done.returncode == 1
    assert "ermission denied" in done.stderr
    assert {path: path.stat().st_mode for path in (tmp_path / "lake").rglob("*")} == before
    assert run("print(lake.upsert(FUNDING_RATES, rows(20)).inserted)", tmp_path / "lake").stdout.strip() == "10"


@pytest.mark.parametrize(("die_at", "survives"), [(1, False), (3, False), (4, True)])
def test_a_process_dies_at_exactly_the_touch_that_was_ordered(tmp_path: Path, die_at: int, survives: bool) -> None:
    done = run(
        f"""
touches = Touches()
touches.begin(die_at={die_at})
for n in range(3):
    Path(sys.argv[1], f"{{n}}").write_text("x")
touches.begin(die_at=None)
""",
        tmp_path,
    )
    assert done.returncode == (0 if survives else -signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == min(die_at - 1, 3)


def test_an_hour_passes_for_everything_that_the_host_remembers(tmp_path: Path) -> None:
    path, now = tmp_path / "state.sqlite", datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    state = HostState(path)
    with state.transaction() as db:
        db.execute("INSERT INTO spent VALUES ('h', 'weight', ?, 7)", (now,))
        db.execute("INSERT INTO holds VALUES ('h', 1, ?)", (now + 1800,))
        db.execute("INSERT INTO breakers VALUES ('h/x', 'open', 5, ?, 'why')", (now,))
        db.execute("INSERT INTO offsets VALUES ('h', 100.0, 0.1, ?)", (now,))
    let_pass(path, seconds=timedelta(hours=1).total_seconds())
    assert state.rows("SELECT window_start FROM spent") == [(now - 3600,)]
    assert state.rows("SELECT until FROM holds") == [(now - 1800,)]
    assert state.rows("SELECT changed_at FROM breakers") == [(now - 3600,)]
    assert state.rows("SELECT offset_seconds, measured_at FROM offsets") == [(3700.0, now - 3600)]
    state.close()
