"""The hourly signal through Dagster: no way of starting it yields a tradeable row on stale input.

The incident behind it: the reviewed system traded on bars that were 77.8 hours old while every job was green.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._cli import cli as dagster_cli

from eth_pipeline.contracts.clock import floor_hour
from eth_pipeline.contracts.signal import ReasonCode, SignalState
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline_tests.shared_folder import shared_folder
from eth_pipeline_tests.small_home import AS_OF, SmallHome, failure_text, small_home

ONE_PROCESS = Path(__file__).resolve().parents[1] / "h800" / "one_process.yaml"
STALE_WORDS = ("BLOCKED", "stream_stale klines ETHUSDT: newest data is 3.01 h old, limit 1.00 h")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    """A home with one cross symbol whose newest hour was decided once, from fresh data."""
    with small_home(tmp_path_factory.mktemp("home"), shared=shared_folder(tmp_path_factory)) as home:
        home.environment["ETH_PIPELINE_CROSS_SYMBOLS"] = '["BTCUSDT"]'
        with home.entered() as instance:
            assert home.run_job("hourly", instance=instance).success
        yield home


@pytest.fixture
def stale(prepared: SmallHome) -> Iterator[SmallHome]:
    """Everything is stored up to the clock's hour; then the feed stops and three hours pass."""
    clock = prepared.sandbox.clock
    with prepared.entered() as instance:
        assert prepared.materialize(*STREAMS, instance=instance).success
    prepared.sandbox.faults.switch_on("stale", since=floor_hour(clock.now()))
    clock.advance(timedelta(hours=3))
    yield prepared
    prepared.sandbox.faults.clear()


def assert_blocked(home: SmallHome, text: str) -> None:
    """The newest hour is on record as blocked for the right reason, and the message says so."""
    newest = home.signals()[-1]
    assert newest.decision_time == floor_hour(home.sandbox.clock.now())
    assert newest.state is SignalState.BLOCKED
    assert (newest.action, newest.allow_open, newest.allow_close, newest.position_share) == ("HOLD", False, True, 0)
    stale = [reason for reason in newest.reasons if reason.code is ReasonCode.STREAM_STALE]
    assert "klines ETHUSDT" in {reason.subject for reason in stale}
    flat = " ".join(text.split())
    for words in STALE_WORDS:
        assert words in flat, f"{words!r} is missing in: {flat[-1500:]}"


def test_a_fresh_hour_without_a_model_is_degraded_and_says_so(prepared: SmallHome) -> None:
    first = next(record for record in prepared.signals() if record.decision_time == floor_hour(AS_OF))
    assert first.state is SignalState.DEGRADED
    assert {reason.code for reason in first.reasons} == {ReasonCode.BUNDLE_ABSENT}
    assert all(stream.fresh for stream in first.freshness)
    assert first.consensus_coverage == 1.0
    assert first.provenance == "simulated"


def test_the_scheduled_job_records_a_blocked_hour_and_fails_on_stale_input(stale: SmallHome) -> None:
    with stale.entered() as instance:
        result = stale.run_job("hourly", instance=instance)
        assert not result.success
        assert_blocked(stale, failure_text(result))
        succeeded = {event.step_key for event in result.all_events if event.is_step_success}
        assert {"gate_verdict", "paper_account"} <= succeeded, "the verdict and the stops do not wait for the signal"


def test_a_click_on_the_signal_alone_is_refused_on_stale_input(stale: SmallHome) -> None:
    with stale.entered() as instance:
        before = instance.get_latest_materialization_event(dg.AssetKey("hourly_signal"))
        result = stale.materialize("hourly_signal", instance=instance)
        assert not result.success
        assert_blocked(stale, failure_text(result))
        after = instance.get_latest_materialization_event(dg.AssetKey("hourly_signal"))
        assert after == before, "a blocked hour must not look like a materialized one"


def test_the_command_line_is_refused_on_stale_input_with_a_non_zero_exit(stale: SmallHome) -> None:
    done = stale.command(
        "dagster", "asset", "materialize", "-m", "eth_pipeline.definitions", "--select", "hourly_signal"
    )
    assert done.returncode != 0
    assert_blocked(stale, done.stdout + done.stderr)


def test_a_backfill_is_refused_on_stale_input_with_a_non_zero_exit(stale: SmallHome) -> None:
    today = stale.sandbox.clock.now().date()
    days = f"{today - timedelta(days=1)}...{today}"
    module = ("asset", "materialize", "-m", "eth_pipeline.definitions", "-c", str(ONE_PROCESS))
    done = stale.in_process(dagster_cli, *module, "--select", "signal_history", "--partition-range", days)
    assert done.exit_code != 0
    assert_blocked(stale, done.output)
    assert all(record.state is not SignalState.TRADEABLE for record in stale.signals())


def test_after_a_stale_run_the_check_of_the_stream_is_red_in_the_ui(stale: SmallHome) -> None:
    """A run of the signal alone does not run the stream's own check; the last tick would stay green."""
    with stale.entered() as instance:
        stale.materialize("hourly_signal", instance=instance)
        check = dg.AssetCheckKey(dg.AssetKey("klines"), "fresh_on_data_time")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
        evaluation = record.event.dagster_event.asset_check_evaluation_data
        assert not evaluation.passed
        assert "klines ETHUSDT" in str(evaluation.description)


def test_every_hour_has_exactly_one_record_also_those_nobody_decided(prepared: SmallHome) -> None:
    prepared.sandbox.clock.advance(timedelta(hours=5))
    with prepared.entered() as instance:
        assert prepared.run_job("hourly", instance=instance).success
        assert prepared.run_job("hourly", instance=instance).success
    hours = [record.decision_time for record in prepared.signals()]
    expected = [hours[0] + timedelta(hours=n) for n in range(len(hours))]
    assert hours == expected
    assert hours[-1] == floor_hour(prepared.sandbox.clock.now())
    missed = [record for record in prepared.signals() if record.reasons and record.reasons[0].code == "hour_missed"]
    assert len(missed) >= 4
    assert all(record.state is SignalState.BLOCKED for record in missed)
