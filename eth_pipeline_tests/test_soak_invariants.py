"""Every invariant of the soak is seen to fail: something is broken by hand, and the sentence names it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.clock import HOUR
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.signal import Reason, ReasonCode, SignalRecord
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.exchange.http.transport import Transport
from eth_pipeline.exchange.ingest import ingest_stream
from eth_pipeline.lake import Lake
from eth_pipeline.operations.announcements import announce
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.sandbox.request_log import RequestRecord
from eth_pipeline.sandbox.server import Sandbox
from eth_pipeline.sandbox.synthetic import SyntheticMarket
from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.signals.gating.freshness import DATA_TIME
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.record_rows import signal_rows
from eth_pipeline.soak import invariants
from eth_pipeline.soak.invariants import Sample
from eth_pipeline.soak.plan import read_plan
from eth_pipeline.trading.ledger import Event
from eth_pipeline_tests.decision_samples import NOON, sample_settings, signal

START = datetime(2025, 6, 20, tzinfo=UTC)
NOW = datetime(2025, 6, 24, 12, 0, 20, tzinfo=UTC)
HOUR_NOW = datetime(2025, 6, 24, 12, tzinfo=UTC)
SETTINGS = sample_settings()
STALE = judge([Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="2 h")], phase="paper")
BOUNDS = read_plan().bounds


@dataclass(frozen=True)
class Filled:
    """A lake that was filled through the exchange, and the market behind it."""

    lake: Lake
    market: SyntheticMarket
    settings: Settings

    def change(self, stream: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Overwrite the rows of a table, past every contract."""
        table = STREAMS[stream]
        rows = self.lake.read(table)
        shutil.rmtree(self.lake.uri(table))
        self.lake.upsert(table, edit(rows))

    def true(self) -> list[str]:
        return list(
            invariants.lake_is_true(self.lake, self.market, settings=self.settings, since=START, until=HOUR_NOW - HOUR)
        )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    market = SyntheticMarket(seed=5, start=START, end=NOW + HOUR, symbols=("ETHUSDT",))
    with Sandbox(market, now=NOW) as sandbox:
        home = tmp_path_factory.mktemp("home")
        settings = load_settings(
            home=home, base_interval="15m", history_start=START, exchange=sandbox.exchange_urls(), cross_symbols=()
        )
        lake = Lake.of(settings)
        with Transport(settings.exchange, state_path=home / "state.sqlite") as transport:
            for stream in STREAMS:
                ingest_stream(stream, transport=transport, lake=lake, settings=settings, now=NOW)
    return Filled(lake, market, settings)


@pytest.fixture
def filled(original: Filled, tmp_path: Path) -> Filled:
    shutil.copytree(original.settings.home, tmp_path / "home")
    settings = original.settings.model_copy(update={"home": tmp_path / "home"})
    return replace(original, lake=Lake.of(settings), settings=settings)


def tradeable(settings: Settings) -> SignalRecord:
    """A record of the newest hour that says it may be acted on."""
    return signal(settings, HOUR_NOW, emitted_at=NOW)


def despite(filled: Filled, record: SignalRecord, *, bars_may_change: bool = False) -> list[str]:
    return list(
        invariants.tradeable_on_good_input(
            record,
            lake=filled.lake,
            market=filled.market,
            settings=filled.settings,
            bars_may_change=bars_may_change,
        )
    )


def at(moment: datetime) -> pl.Expr:
    return pl.col("close_time") == moment


def test_a_lake_that_was_filled_through_the_exchange_is_true(original: Filled) -> None:
    assert original.true() == []


@pytest.mark.parametrize("stream", STREAMS)
def test_a_row_that_is_gone_or_wrong_is_found_in_every_stream(filled: Filled, stream: str) -> None:
    table = STREAMS[stream]
    value = next(c.name for c in table.columns if c.dtype == pl.Float64)
    complete = filled.lake.read(table).filter(pl.col(DATA_TIME[stream]) <= HOUR_NOW - HOUR)
    last = complete.height - 1
    filled.change(stream, lambda _: complete.head(last))
    (absent,) = filled.true()
    assert "1 rows are absent" in absent
    nudged = (pl.col("high") + pl.col("low")) / 2 if value == "open" else pl.col(value) * 1.002
    wrong = pl.when(pl.int_range(pl.len()) == last - 1).then(nudged).otherwise(pl.col(value)).alias(value)
    filled.change(stream, lambda rows: rows.with_columns(wrong))
    assert any(f"values of {value} are wrong" in found for found in filled.true())


def test_a_bar_that_nobody_published_is_found(filled: Filled) -> None:
    filled.change(
        "klines",
        lambda rows: pl.concat(
            [
                rows,
                rows[50].with_columns(
                    pl.col("open_time") - timedelta(minutes=7), pl.col("close_time") - timedelta(minutes=7)
                ),
            ]
        ),
    )
    assert any("never published" in found for found in filled.true())


def test_on_good_input_only_the_absent_model_forbids_to_trade(original: Filled) -> None:
    assert despite(original, tradeable(original.settings)) == ["no model answered"]


def test_a_blocked_hour_may_have_any_input(filled: Filled) -> None:
    filled.change("klines", lambda rows: rows.head(3))
    assert despite(filled, signal(filled.settings, HOUR_NOW, verdict=STALE)) == []


def test_a_tradeable_hour_on_stale_input_is_found(filled: Filled) -> None:
    filled.change("funding_rates", lambda rows: rows.filter(pl.col("funding_time") < HOUR_NOW - 10 * HOUR))
    assert any("newest funding_rates of ETHUSDT is" in found for found in despite(filled, tradeable(filled.settings)))


def test_a_tradeable_hour_on_a_gap_is_found(filled: Filled) -> None:
    filled.change("mark_klines", lambda rows: rows.filter(~at(HOUR_NOW - 3 * HOUR)))
    found = despite(filled, tradeable(filled.settings))
    assert any("mark_klines ETHUSDT: 1 rows are absent" in sentence for sentence in found)


def test_a_tradeable_hour_on_a_wrong_bar_is_found_unless_nobody_could_know(filled: Filled) -> None:
    wrong = pl.when(at(HOUR_NOW)).then(pl.col("volume") * 2).otherwise(pl.col("volume")).alias("volume")
    filled.change("klines", lambda rows: rows.with_columns(wrong))
    record = tradeable(filled.settings)
    assert any("values of volume are wrong" in found for found in despite(filled, record))
    assert not any("are wrong" in found for found in despite(filled, record, bars_may_change=True))


def test_a_tradeable_hour_on_a_model_that_does_not_verify_is_found(original: Filled) -> None:
    ml = tradeable(original.settings).ml.model_copy(update={"ml_available": True, "ml_fingerprint": "f" * 64})
    (found,) = despite(original, tradeable(original.settings).model_copy(update={"ml": ml}))
    assert found.startswith("its model ffffffffffff does not verify")


def test_two_records_of_an_hour_and_none_of_another_are_found() -> None:
    records = [signal(SETTINGS, NOON + n * HOUR) for n in (0, 1, 1, 3)]
    found = list(invariants.one_record_per_hour(records, first=NOON, last=NOON + 3 * HOUR))
    assert found == ["2025-03-03T13:00:00Z has 2 records", "2025-03-03T14:00:00Z has no record"]
    assert list(invariants.one_record_per_hour(records[:2], first=NOON, last=NOON + HOUR)) == []


def lived(tmp_path: Path, *, hours: int = 3) -> tuple[Lake, Settings, list[SignalRecord]]:
    """A home with announced records, the middle one blocked."""
    settings = sample_settings(tmp_path)
    lake = Lake.of(settings)
    log = SignalLog(lake, folder=settings.home / "logs")
    for n in range(hours):
        changes = {"verdict": STALE} if n == 1 else {}
        announce(lake, [log.write(signal(settings, NOON + n * HOUR, **changes))], folder=settings.home / "logs")
    return lake, settings, invariants.read_records(lake, settings=settings, first=NOON)


def lost(lake: Lake, settings: Settings) -> list[str]:
    records = invariants.read_records(lake, settings=settings, first=NOON)
    return list(invariants.no_event_lost(lake, records, settings=settings, since=NOON))


def test_a_record_without_its_line_or_with_the_line_of_another_run_is_found(tmp_path: Path) -> None:
    lake, settings, records = lived(tmp_path)
    assert lost(lake, settings) == []
    (log,) = (settings.home / "logs").glob("signals_*.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    assert lost(lake, settings) == ["2025-03-03T14:00:00Z has a record and no line in the log"]
    other = json.loads(lines[-1])
    other["data"]["run_id"] = "another"
    log.write_text("".join([*lines[:-1], json.dumps(other) + "\n"]))
    (found,) = lost(lake, settings)
    assert found == "2025-03-03T14:00:00Z: the log's last line is of another evaluation than the record"
    assert len(records) == 3


def test_a_change_of_state_that_was_never_announced_is_found(tmp_path: Path) -> None:
    lake, settings, _ = lived(tmp_path)
    unannounced = signal(settings, NOON + 3 * HOUR, verdict=STALE)
    SignalLog(lake, folder=settings.home / "logs").write(unannounced)
    assert lost(lake, settings) == ["2025-03-03T15:00:00Z: tradeable to blocked was never announced"]


def test_a_doubled_record_in_the_table_is_seen(tmp_path: Path) -> None:
    lake, settings, records = lived(tmp_path)
    from deltalake import write_deltalake

    write_deltalake(lake.uri(SIGNALS), signal_rows([records[0]]).to_arrow(), mode="append")
    again = invariants.read_records(lake, settings=settings, first=NOON)
    found = list(invariants.one_record_per_hour(again, first=NOON, last=NOON + 2 * HOUR))
    assert found == ["2025-03-03T12:00:00Z has 2 records"]


def ledger() -> list[Event]:
    """A deposit, a position with its fee, and three hours of marks."""
    fee = -0.5 * 2000.0 * SETTINGS.account.taker_fee_bps / 1e4

    def event(n: int, kind: str, hour: int, **fields: object) -> Event:
        time = NOON + hour * HOUR
        values = {"quantity_eth": 0.0, "price_usdt": 2000.0, "cash_change_usdt": 0.0, **fields}
        return Event(n, time, time, kind, **values)  # type: ignore[arg-type]  # values of a test

    return [
        event(0, "deposit", 0, price_usdt=None, cash_change_usdt=10_000.0),
        event(1, "open", 0, quantity_eth=0.5),
        event(2, "fee", 0, cash_change_usdt=fee),
        event(3, "mark", 1),
        event(4, "mark", 2),
        event(5, "mark", 3),
    ]


def unbalanced(events: list[Event]) -> list[str]:
    return list(invariants.ledger_balances(events, settings=SETTINGS))


def test_a_ledger_with_a_lost_event_a_wrong_fee_or_an_unmarked_hour_is_found() -> None:
    events = ledger()
    assert unbalanced(events) == []
    assert unbalanced([*events[:3], *events[4:]]) == ["event 3 carries the number 4"]
    wrong = replace(events[2], cash_change_usdt=events[2].cash_change_usdt * 2)
    assert any("fees are 1.000000 USDT" in found for found in unbalanced([*events[:2], wrong, *events[3:]]))
    late = replace(events[5], event_time=NOON + 4 * HOUR, available_at=NOON + 4 * HOUR)
    assert any("marked at" in found for found in unbalanced([*events[:5], late]))
    assert (
        list(invariants.ledger_balances([*events[:5], late], settings=SETTINGS, unseen=frozenset({NOON + 3 * HOUR})))
        == []
    )
    twice = replace(events[3], kind="open", quantity_eth=1.0)
    assert any("does not follow the ledger" in found for found in unbalanced([*events[:3], twice, *events[4:]]))


def asked(path: str = "/fapi/v1/klines", *, status: int = 200, weight: int = 1, times: int = 1) -> list[RequestRecord]:
    return [RequestRecord(path, "", "klines", "ETHUSDT", status, weight, "2025-03-03T12:00:20Z")] * times


def overspent(requests: list[RequestRecord], *, faulty: bool = False) -> list[str]:
    return list(invariants.requests_within_budget(requests, settings=SETTINGS, faulty=faulty))


def test_more_weight_more_counted_requests_and_unheeded_refusals_are_found() -> None:
    assert overspent(asked(times=1_900)) == []
    assert overspent(asked(times=1_930)) == ["weight: 1930 used, 1920 allowed"]
    assert overspent(asked("/futures/data/openInterestHist", times=801)) == ["futures data: 801 used, 800 allowed"]
    assert overspent(asked("/fapi/v1/fundingRate", times=401)) == ["funding: 401 used, 400 allowed"]
    assert overspent(asked(status=429)) == ["the exchange refused 1 requests by itself"]
    assert overspent(asked(status=429), faulty=True) == []
    (found,) = overspent([*asked(status=418), *asked(times=30)], faulty=True)
    assert "30 requests were sent after a refusal" in found


def test_a_calm_hour_that_is_blocked_or_absent_is_found_and_a_limit_of_the_account_is_not() -> None:
    blocked = signal(SETTINGS, NOON, verdict=STALE)
    assert [found.split(":")[0] for found in invariants.well_again(blocked, is_calm=True)] == ["blocked in a calm hour"]
    assert list(invariants.well_again(None, is_calm=True)) == ["the hour has no record"]
    assert list(invariants.well_again(blocked, is_calm=False)) == []
    limited = judge([Reason(code=ReasonCode.RISK_LIMIT, subject="account", detail="loss")], phase="paper")
    assert list(invariants.well_again(signal(SETTINGS, NOON, verdict=limited), is_calm=True)) == []


def sample(number: int, *, memory: float = 400.0, files: int = 50, disk: float | None = None) -> Sample:
    return Sample(number, worker_hours=number + 4, memory_megabytes=memory, open_files=files, disk_megabytes=disk)


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        ([sample(n, disk=100.0 + n) for n in range(10)], None),
        ([sample(0), sample(1, memory=BOUNDS.worker_memory_megabytes + 1)], "the worker holds"),
        ([sample(0, files=BOUNDS.worker_open_files + 1)], "files open"),
        ([sample(0), sample(1, memory=700.0)], "the worker grew by 300 MB in 1 h"),
        ([sample(n, memory=400.0 + 8 * n) for n in range(72)], "MB in 71 h"),
        ([sample(n, memory=400.0 + 2 * n) for n in range(72)], None),
        ([sample(n, memory=640.0 if n % 5 else 400.0) for n in range(72)], None),
        ([sample(0, disk=100.0), sample(30, disk=400.0)], "the home grew by 10.00 MB an hour"),
    ],
)
def test_memory_files_and_disk_beyond_their_bounds_are_found(samples: list[Sample], found: str | None) -> None:
    broken = list(invariants.bounded(samples, bounds=BOUNDS))
    assert (not broken) if found is None else any(found in sentence for sentence in broken)
