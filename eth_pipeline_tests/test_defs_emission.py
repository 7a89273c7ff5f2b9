"""Every hour leaves a record, whatever happens: the exchange is down, the run dies, the host was off.

The incident behind it: the reviewed system's status was green while hours had no signal at all.
"""

import json
from collections.abc import Iterator
from datetime import datetime

import dagster as dg
import polars as pl
import pytest
from dagster._core.utils import make_new_run_id

from eth_pipeline.contracts.clock import HOUR, SystemClock, floor_hour, iso
from eth_pipeline.contracts.decision_tables import TRANSITIONS
from eth_pipeline.contracts.signal import ReasonCode, SignalRecord, SignalState
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.defs.assets.exchange import newest_key
from eth_pipeline.defs.emission import emit_failed_hour
from eth_pipeline.defs.failures import failed_hour_sensor
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.lake import Lake
from eth_pipeline.operations.config_audit import config_history
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import SmallHome, failure_text, small_home

SYMBOLS = ("ETHUSDT", "BTCUSDT")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """One home for all tests here; each begins at a fresh hour of its own."""
    with small_home(tmp_path_factory.mktemp("home"), shared=shared_folder(tmp_path_factory)) as home:
        home.environment["ETH_PIPELINE_EXCHANGE__ATTEMPTS"] = "1"
        home.environment["ETH_PIPELINE_CROSS_SYMBOLS"] = json.dumps(SYMBOLS[1:])
        yield home


@pytest.fixture
def home(built: SmallHome) -> SmallHome:
    """Twenty seconds after a full hour that nobody decided yet; the exchange works and its clock is known."""
    built.sandbox.faults.clear()
    for path in built.folder.glob("exchange_state.sqlite*"):  # breakers wait on the real clock
        path.unlink()
    built.sandbox.clock.advance(HOUR)
    with built.entered():
        assert Pipeline().moment().reachable
    return built


def hour_of(home: SmallHome) -> datetime:
    return floor_hour(home.sandbox.clock.now())


def record_of(home: SmallHome, hour: datetime) -> SignalRecord:
    (found,) = [record for record in home.signals() if record.decision_time == hour]
    return found


def codes(record: SignalRecord) -> set[ReasonCode]:
    """Without what lingers from the hours of the tests before: they run in any order."""
    return {reason.code for reason in record.reasons} - {ReasonCode.RECOVERING}


def arrivals(home: SmallHome, instance: dg.DagsterInstance, stream: str) -> int:
    """How often the companion of `stream` moved."""
    return len(instance.fetch_materializations(newest_key(stream), limit=1000).records)


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    """What a run materialized, by asset."""
    found = [
        event.step_materialization_data.materialization for event in result.all_events if event.is_step_materialization
    ]
    return {made.asset_key.to_user_string(): made for made in found}


def test_a_stream_asset_materializes_when_the_exchange_answers_errors(home: SmallHome) -> None:
    """Skipping it would make Dagster skip its checks and everything downstream, and the run would be a success."""
    home.sandbox.faults.switch_on("server_error")
    with home.entered() as instance:
        before = arrivals(home, instance, "klines")
        result = home.materialize("klines", instance=instance)
        assert result.success
        metadata = materialized(result)["klines"].metadata
        assert metadata["inserted"].value == 0
        assert "unavailable" in str(metadata["symbols"].value)
        assert arrivals(home, instance, "klines") == before, "nothing arrived, so the badge must not turn green"


def test_a_companion_moves_when_a_row_landed_and_not_when_a_run_did(home: SmallHome) -> None:
    """Dagster's badge follows materializations: a run without a new bar would look fresh."""
    with home.entered() as instance:
        before = arrivals(home, instance, "klines")
        assert home.materialize("klines", instance=instance).success
        assert arrivals(home, instance, "klines") == before + 1
        event = instance.get_latest_materialization_event(newest_key("klines"))
        assert event is not None
        assert event.asset_materialization is not None
        newest = event.asset_materialization.metadata["newest_available_at"].value
        assert newest == dict.fromkeys(SYMBOLS, iso(hour_of(home)))
        again = home.materialize("klines", instance=instance)
        assert again.success
        assert materialized(again)["klines"].metadata["inserted"].value == 0
        assert arrivals(home, instance, "klines") == before + 1


def test_an_hour_whose_bars_never_came_because_the_exchange_is_down_is_blocked_and_says_both(home: SmallHome) -> None:
    home.sandbox.faults.switch_on("server_error")
    with home.entered() as instance:
        result = home.run_job("hourly", instance=instance)
        assert not result.success
        assert {*STREAMS, "gate_verdict", "paper_account"} <= set(materialized(result))
        assert "hourly_signal" not in materialized(result)
        assert "is BLOCKED" in failure_text(result)
    record = record_of(home, hour_of(home))
    assert record.state is SignalState.BLOCKED
    assert {ReasonCode.EXCHANGE_UNREACHABLE, ReasonCode.STREAM_STALE} <= codes(record)
    assert config_history(home.folder)[-1].digest == record.config_digest, "a record names a known setting"


def test_an_exchange_that_goes_down_after_the_bars_came_degrades_the_hour(home: SmallHome) -> None:
    """The rows are fresh, but nobody can say that they are the newest: paper goes on, live would stop."""
    with home.entered() as instance:
        upstream = (*STREAMS, "features", "consensus", "forecast")
        assert home.materialize(*upstream, instance=instance).success
        home.sandbox.faults.switch_on("server_error")
        assert home.materialize("hourly_signal", instance=instance).success
    record = record_of(home, hour_of(home))
    assert record.state is SignalState.DEGRADED
    assert codes(record) == {ReasonCode.EXCHANGE_UNREACHABLE, ReasonCode.BUNDLE_ABSENT}


def test_a_stream_that_halts_needs_a_person_even_after_its_data_came_back(home: SmallHome) -> None:
    home.environment["ETH_PIPELINE_FRESHNESS__KLINES__STALE_POLICY"] = "halt"
    try:
        home.sandbox.faults.switch_on("stale", streams=("klines",), symbols=("ETHUSDT",), since=hour_of(home) - HOUR)
        with home.entered() as instance:
            assert not home.run_job("hourly", instance=instance).success
            home.sandbox.faults.clear()
            home.sandbox.clock.advance(HOUR)
            assert not home.run_job("hourly", instance=instance).success
            record = record_of(home, hour_of(home))
            assert codes(record) == {ReasonCode.KILL_SWITCH, ReasonCode.BUNDLE_ABSENT}
            assert "halted by klines ETHUSDT" in record.gating_reason
        assert home.command("eth_pipeline", "kill-switch", "status").returncode == 1
        assert home.command("eth_pipeline", "kill-switch", "off").returncode == 0
        with home.entered() as instance:
            assert home.run_job("hourly", instance=instance).success
    finally:
        del home.environment["ETH_PIPELINE_FRESHNESS__KLINES__STALE_POLICY"]


def test_a_stream_that_comes_back_is_recovering_first_and_every_change_is_announced_once(home: SmallHome) -> None:
    with home.entered() as instance:  # whatever the test before left behind: the story begins at an open hour
        assert home.run_job("hourly", instance=instance).success
    home.sandbox.clock.advance(HOUR)
    begin = hour_of(home)
    home.sandbox.faults.switch_on("stale", streams=("klines",), symbols=("ETHUSDT",), since=begin - HOUR)
    with home.entered() as instance:
        assert not home.run_job("hourly", instance=instance).success
        home.sandbox.faults.clear()
        for _ in range(2):
            home.sandbox.clock.advance(HOUR)
            assert home.run_job("hourly", instance=instance).success
            assert home.materialize("hourly_signal", instance=instance).success  # again, by hand: nothing new
    back, after = record_of(home, begin + HOUR), record_of(home, begin + 2 * HOUR)
    assert ("stream_stale", ReasonCode.RECOVERING) in {(reason.subject, reason.code) for reason in back.reasons}
    assert ReasonCode.RECOVERING not in {reason.code for reason in after.reasons}
    rows = Lake(str(home.folder / "lake")).read(TRANSITIONS, where=pl.col("decision_time") >= begin)
    states = [("degraded" if n else "blocked", n) for n in range(2)]
    told = rows.sort("decision_time", "step").select("to_state", "decision_time", "alertable").rows()
    assert told[-2:] == [(state, begin + n * HOUR, True) for state, n in states]


def test_a_stopped_embedded_exchange_does_not_move_the_home_to_todays_date(home: SmallHome) -> None:
    """One click while it was stopped recorded 744 missed hours of today's date among those of its own."""
    known = {record.decision_time for record in home.signals()}
    home.sandbox.faults.switch_on("server_error")
    with home.entered() as instance:
        home.materialize("hourly_signal", instance=instance)
    new = {record.decision_time for record in home.signals()} - known
    assert max(new) == hour_of(home)
    assert len(new) < 24


def test_a_run_that_died_leaves_one_blocked_record_and_only_where_there_is_none(home: SmallHome) -> None:
    with home.entered():
        began = SystemClock().now()
        first = emit_failed_hour(
            Pipeline(), run_id="dead-run", started_at=began, error="step features failed: no memory"
        )
        assert first is not None
        assert emit_failed_hour(Pipeline(), run_id="dead-run", started_at=began, error="again") is None
    record = record_of(home, hour_of(home))
    assert record == first
    assert (record.state, record.run_id) == (SignalState.BLOCKED, "dead-run")
    assert [(reason.code, reason.detail) for reason in record.reasons] == [
        (ReasonCode.RUN_FAILED, "step features failed: no memory")
    ]
    assert (record.allow_open, record.allow_close) == (False, True)


def test_a_run_that_is_noticed_after_its_hour_is_recorded_under_its_own_hour(home: SmallHome) -> None:
    began = SystemClock().now()
    started_in = hour_of(home)
    home.sandbox.clock.advance(HOUR)
    with home.entered():
        record = emit_failed_hour(Pipeline(), run_id="late-notice", started_at=began - HOUR, error="killed at :59")
    assert record is not None
    assert record.decision_time == started_in


def test_the_failure_sensor_records_the_hour_of_a_run_that_failed(home: SmallHome) -> None:
    with home.entered() as instance:
        run = dg.DagsterRun(job_name="hourly", run_id=make_new_run_id(), status=dg.DagsterRunStatus.FAILURE)
        failed = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_FAILURE.value,
            job_name="hourly",
            message="Steps failed: ['features'].",
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_hour_sensor", dagster_event=failed, dagster_instance=instance, dagster_run=run
        )
        failed_hour_sensor(context.for_run_failure())
        failed_hour_sensor(context.for_run_failure())
    record = record_of(home, hour_of(home))
    assert codes(record) == {ReasonCode.RUN_FAILED}
    assert record.run_id == run.run_id
    assert "Steps failed: ['features']." in record.gating_reason


def test_hours_that_nobody_decided_are_recorded_as_missed_before_the_newest(home: SmallHome) -> None:
    """After downtime a schedule launches one run, whatever was missed."""
    with home.entered() as instance:
        home.materialize("hourly_signal", instance=instance)
        home.sandbox.clock.advance(3 * HOUR)
        home.materialize("hourly_signal", instance=instance)
    newest = hour_of(home)
    for hours in (1, 2):
        missed = record_of(home, newest - hours * HOUR)
        assert missed.state is SignalState.BLOCKED
        assert codes(missed) == {ReasonCode.HOUR_MISSED}
    for hours in (0, 3):
        assert ReasonCode.HOUR_MISSED not in codes(record_of(home, newest - hours * HOUR))
    decided = [record.decision_time for record in home.signals()]
    assert decided == [decided[0] + n * HOUR for n in range(len(decided))], "every hour has exactly one record"


def test_the_record_of_a_dead_run_comes_after_those_of_the_hours_before_it(home: SmallHome) -> None:
    """Found by the soak: two runs in a row were killed, only the second was noticed, and its hour had a record while
    the one before it had none.
    """
    with home.entered() as instance:
        home.run_job("hourly", instance=instance)
        home.sandbox.clock.advance(2 * HOUR)
        assert Pipeline().moment().reachable
        emit_failed_hour(Pipeline(), run_id="dead-run", started_at=SystemClock().now(), error="it was killed")
    assert ReasonCode.HOUR_MISSED in codes(record_of(home, hour_of(home) - HOUR))
    assert ReasonCode.RUN_FAILED in codes(record_of(home, hour_of(home)))
