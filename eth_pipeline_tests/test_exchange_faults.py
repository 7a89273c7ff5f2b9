"""Every fault of the embedded exchange against the real ingestion: true rows only, named in the ledger, few requests.

One row of `CASES` per kind of `sandbox.faults.KINDS`; a test holds them together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.sandbox.faults import KINDS
from eth_pipeline_tests.market_pipeline import HOUR, NOW, QUARTER, Make, Pipeline, pipelines

SINCE = datetime(2025, 2, 11, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A fault in force during one whole ingestion, and what must be there afterwards.

    Attributes:
        kind, parameters: the fault.
        stream: what is ingested.
        never_served: [first, before) of rows that no door served.
        only_to: newest instant that was served; None for all.
        causes: causes the ledger names, `not_listed` aside.
        requests: most requests of the run; None: as many as a run without a fault, and a tenth.
        outcome: of the run.
        heals: a later run the fault brings every row.
    """

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)
    stream: str = "klines"
    never_served: tuple[datetime, datetime] | None = None
    served_until: datetime | None = None
    causes: frozenset[str] = frozenset()
    requests: int | None = None
    outcome: str = "fetched"
    heals: bool = True


_TWO_HOURS = (SINCE, SINCE + 2 * HOUR)
_NOTHING = (datetime(2025, 1, 1, tzinfo=UTC), NOW + HOUR)
CASES = (
    Case("server_error", never_served=_NOTHING, requests=2, outcome="unavailable"),
    Case("server_error", {"count": 1}, outcome="fetched"),
    Case("rate_limited", {"retry_after_seconds": 3600}, never_served=_NOTHING, requests=1, outcome="unavailable"),
    Case("banned", {"retry_after_seconds": 3600}, never_served=_NOTHING, requests=1, outcome="unavailable"),
    Case(
        "region_restricted",
        served_until=datetime(2025, 3, 9, 23, 45, tzinfo=UTC),
        causes=frozenset({"late"}),
        requests=50,
        outcome="restricted",
    ),
    Case("delay", {"seconds": 1.0, "count": 1}, outcome="fetched"),
    Case("stale", {"since": NOW - 3 * HOUR}, served_until=NOW - 3 * HOUR - QUARTER, causes=frozenset({"late"})),
    Case("late_bar", {"seconds": 5 * 60.0}, served_until=NOW - QUARTER),
    Case("unfinished"),
    Case(
        "gap", {"since": _TWO_HOURS[0], "until": _TWO_HOURS[1]}, never_served=_TWO_HOURS, causes=frozenset({"missing"})
    ),
    Case("duplicate", {"rows": 3}, causes=frozenset({"duplicate"})),
    Case(
        "zero_open_interest",
        {"since": _TWO_HOURS[0], "until": _TWO_HOURS[1]},
        stream="open_interest",
        never_served=_TWO_HOURS,
        causes=frozenset({"zero"}),
    ),
    Case("partial_page", {"only": "rest", "rows": 150, "count": 3}),
    Case("truncated_body", {"only": "archive", "count": 2}, causes=frozenset()),
    Case("wrong_checksum", causes=frozenset({"file_refused"}), requests=180),
    Case("corrupt_zip", causes=frozenset({"file_refused"}), requests=100),
    Case("clock_skew", {"seconds": 90.0}),
    Case("label_flip", stream="open_interest"),
)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with pipelines(tmp_path) as maker:
        yield maker


@pytest.fixture(scope="module")
def usual_requests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What an ingestion of each stream costs without a fault."""
    with pipelines(tmp_path_factory.mktemp("usual")) as maker:
        pipeline = maker()
        return {stream: pipeline.ingest(stream)[0].requests for stream in ("klines", "open_interest")}


def test_every_fault_has_its_case() -> None:
    assert {case.kind for case in CASES} == set(KINDS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case.kind, *case.parameters]))
def test_a_fault_costs_no_true_row_and_adds_no_false_one(
    case: Case, make: Make, usual_requests: dict[str, int]
) -> None:
    pipeline = make()
    pipeline.sandbox.faults.switch_on(case.kind, **case.parameters)
    (result,) = pipeline.ingest(case.stream)
    true = pipeline.true_instants(case.stream)
    served = [
        instant
        for instant in true
        if (case.never_served is None or not case.never_served[0] <= instant < case.never_served[1])
        and (case.served_until is None or instant <= case.served_until)
    ]
    assert pipeline.stored_instants(case.stream) == served
    assert result.outcome == case.outcome
    assert {cause for (cause,) in pipeline.ledger("cause")} == case.causes
    # A refused month costs its days, each asked for twice where the checksum may have been of a file just replaced.
    bound = case.requests or usual_requests[case.stream] * 1.1 + 3
    assert pipeline.sandbox.requests.total <= bound + 2  # and the time, where a late bar is waited for
    assert not any(record.status == 418 for record in pipeline.sandbox.requests.records[1:]), "no ban was provoked"
    if case.heals:
        _heals(pipeline, case)


def _heals(pipeline: Pipeline, case: Case) -> None:
    """After the fault, and a day in which old holes may be asked for again, every row is there and true."""
    pipeline.sandbox.faults.clear()
    pipeline.sandbox.clock.advance(timedelta(hours=25))
    with pipeline.transport() as transport, transport.state.transaction() as db:
        db.execute("DELETE FROM holds")  # a hold runs in real time
        db.execute("DELETE FROM absent")  # an old hole rests for a month
    pipeline.ingest(case.stream)
    assert pipeline.stored_instants(case.stream) == pipeline.true_instants(case.stream)
    assert {status for (status,) in pipeline.ledger("status")} <= {"repaired", "refused"}


@pytest.mark.parametrize("kind", ["server_error", "rate_limited", "banned"])
def test_an_offline_night_costs_one_probe_per_endpoint_and_hour(make: Make, kind: str) -> None:
    """Hourly runs against an exchange that is down: breaker and hold are remembered between the processes."""
    from eth_pipeline.contracts.clock import FixedClock

    pipeline = make(breaker_failures=1, breaker_cooldown_minutes=30)
    for stream in ("klines", "mark_klines", "funding_rates"):
        pipeline.ingest(stream)
    extra = {} if kind == "server_error" else {"retry_after_seconds": 1800}
    pipeline.sandbox.faults.switch_on(kind, **extra)
    clock = FixedClock(datetime(2030, 1, 1, tzinfo=UTC))
    for _ in range(4):
        pipeline.sandbox.clock.advance(HOUR)
        clock.instant += HOUR
        pipeline.sandbox.requests.clear()
        for stream in ("klines", "mark_klines", "funding_rates"):
            pipeline.ingest(stream, clock=clock)
        assert all(count <= 1 for count in pipeline.sandbox.requests.by_path.values())


def test_a_refused_address_asks_once_and_lives_on_the_archive(make: Make) -> None:
    """451 is final: no retry, no second symbol, and history goes on coming from the archive."""
    pipeline = make(cross=("BTCUSDT",), attempts=3)
    pipeline.sandbox.faults.switch_on("region_restricted")
    results = pipeline.ingest()
    assert {result.outcome for result in results} == {"restricted"}
    assert pipeline.sandbox.requests["/fapi/v1/klines"] == 1
    yesterday = datetime(2025, 3, 9, 23, 45, tzinfo=UTC)
    for symbol in ("ETHUSDT", "BTCUSDT"):
        assert pipeline.stored_instants("klines", symbol)[-1] == yesterday


def test_values_are_the_true_ones_whatever_door_they_came_through(make: Make) -> None:
    """An unfinished or late bar would be a true instant with a false value."""
    import polars as pl

    from eth_pipeline.contracts.table import INSTANT
    from eth_pipeline.contracts.tables import KLINES

    pipeline = make()
    pipeline.sandbox.faults.switch_on("unfinished")
    pipeline.sandbox.faults.switch_on("gap", only="archive", since=SINCE, until=SINCE + HOUR)
    for _ in range(3):
        pipeline.ingest()
        pipeline.sandbox.clock.advance(timedelta(minutes=37))
    market = pipeline.sandbox.market.bars("klines", "ETHUSDT", until=pipeline.sandbox.clock.now())
    true = market.with_columns(
        pl.from_epoch("open_time", "ms").dt.replace_time_zone("UTC").cast(INSTANT).alias("open_time")
    )
    values = ["open", "high", "low", "close", "volume", "trades"]
    rows = pipeline.lake.read(KLINES).join(true, on="open_time", suffix="_true")
    assert rows.height == len(pipeline.stored_instants("klines"))
    for name in values:
        assert (rows[name] - rows[f"{name}_true"]).abs().max() < 1e-6, name
