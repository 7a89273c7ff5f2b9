"""The resource of a run: its settings are read once, and read again by the next run."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.defs.resources import Moment, Pipeline
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.lake import Lake
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket

NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A running exchange, and an environment that names it."""
    market = SyntheticMarket(seed=7, start=NOON - timedelta(days=2), end=NOON + HOUR, symbols=("ETHUSDT",))
    running = Sandbox(market, now=NOON + timedelta(minutes=1), clock_speed=0.0).start()
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    for name, url in running.exchange_urls().items():
        monkeypatch.setenv(f"ETH_PIPELINE_EXCHANGE__{name.upper()}", url)
    monkeypatch.setenv("ETH_PIPELINE_EXCHANGE__ATTEMPTS", "1")
    yield running
    running.stop()


def questions_for_the_time(sandbox: Sandbox) -> int:
    return sandbox.requests["/fapi/v1/time"]


def test_a_run_decides_by_one_set_of_settings_and_the_next_run_reads_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that saw a setting change in between would record a decision that no configuration explains."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    seen: list[float] = []

    @dg.asset
    def first(pipeline: Pipeline) -> None:
        seen.append(pipeline.settings().signals.ml_weight)
        monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.25")

    @dg.asset(deps=[first])
    def second(pipeline: Pipeline) -> None:
        seen.append(pipeline.settings().signals.ml_weight)

    resources = {"pipeline": Pipeline()}
    monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.75")
    assert dg.materialize([first, second], resources=resources).success
    assert dg.materialize([second], resources=resources, selection=[second]).success
    assert seen == [0.75, 0.75, 0.25]
    monkeypatch.setenv("ETH_PIPELINE_SIGNALS__ML_WEIGHT", "0.5")
    assert Pipeline().settings().signals.ml_weight == 0.5, "outside of a run they are read at every call"


def test_a_process_shares_its_lake_a_run_its_door_and_the_run_closes_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve steps opened each table and the connection to the exchange anew: a third of an hour's work."""
    monkeypatch.setenv("ETH_PIPELINE_HOME", str(tmp_path))
    lakes: list[Lake] = []
    doors: list[Transport] = []

    def share(pipeline: Pipeline) -> None:
        lakes.append(pipeline.lake())
        with pipeline.transport() as door:
            doors.append(door)
        assert doors[-1].guard.breaker_states() == {}, "still open"

    @dg.asset
    def first(pipeline: Pipeline) -> None:
        share(pipeline)

    @dg.asset(deps=[first])
    def second(pipeline: Pipeline) -> None:
        share(pipeline)

    resources = {"pipeline": Pipeline()}
    assert dg.materialize([first, second], resources=resources).success
    assert dg.materialize([second], resources=resources, selection=[second]).success
    assert [lakes[0] is lake for lake in lakes] == [True, True, True]
    assert [doors[0] is door for door in doors] == [True, True, False]
    for door in doors:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            door.guard.breaker_states()
    with Pipeline().transport() as door:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        door.guard.breaker_states()


def test_streams_of_a_run_share_one_answer_about_the_time_and_decisions_ask_for_their_own(sandbox: Sandbox) -> None:
    """A decision by the answer that a stream got would not see that the exchange has stopped since."""
    seen: list[tuple[Moment, int]] = []

    def ask(moment: Moment) -> None:
        seen.append((moment, questions_for_the_time(sandbox)))
        sandbox.clock.advance(timedelta(seconds=1))

    @dg.asset
    def first_stream(pipeline: Pipeline) -> None:
        ask(pipeline.moment_for_streams())

    @dg.asset(deps=[first_stream])
    def second_stream(pipeline: Pipeline) -> None:
        ask(pipeline.moment_for_streams())

    @dg.asset(deps=[second_stream])
    def decision(pipeline: Pipeline) -> None:
        ask(pipeline.moment())

    assert dg.materialize([first_stream, second_stream, decision], resources={"pipeline": Pipeline()}).success
    moments, asked = zip(*seen, strict=True)
    assert [count - asked[0] for count in asked] == [0, 0, 1]
    assert moments[0] is moments[1], "as it was said, never ahead of the exchange"
    assert moments[2].now == moments[0].now + timedelta(seconds=2)


def test_outside_of_a_run_nobody_shares_an_answer(sandbox: Sandbox) -> None:
    before = Pipeline().moment_for_streams().now
    sandbox.clock.advance(timedelta(seconds=1))
    pipeline = Pipeline()
    assert pipeline.moment_for_streams().now == before + timedelta(seconds=1)
    sandbox.clock.advance(timedelta(seconds=1))
    assert pipeline.moment_for_streams().now == before + timedelta(seconds=2)


def test_streams_ask_again_where_the_exchange_did_not_answer(sandbox: Sandbox) -> None:
    """What was estimated for one stream must not keep the next from the answer that is there by now."""
    reachable: list[bool] = []

    @dg.asset
    def first_stream(pipeline: Pipeline) -> None:
        fault = sandbox.faults.switch_on("server_error")
        reachable.append(pipeline.moment_for_streams().reachable)
        sandbox.faults.clear(fault.number)

    @dg.asset(deps=[first_stream])
    def second_stream(pipeline: Pipeline) -> None:
        reachable.append(pipeline.moment_for_streams().reachable)

    assert dg.materialize([first_stream, second_stream], resources={"pipeline": Pipeline()}).success
    assert reachable == [False, True]
