"""Forty-eight virtual hours over a switch-over: local, remote, the service killed, the service back."""

import signal
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.signal import SignalRecord
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.signals.evidence import compute_consensus, load_evidence
from eth_pipeline.signals.forecasting.inference import InferenceCoverage, inference_coverage
from eth_pipeline.signals.hourly import decide_hour
from eth_pipeline_tests.decision_samples import HOUR, NOON, ORIGIN, bars, funding, mark_bars, walk
from eth_pipeline_tests.inference_host import CLOCK, TOKEN, InferenceHost, rich_parts, service_process

HOURS = 48
FIRST = NOON - (HOURS - 1) * HOUR
HISTORY_HOURS = 24 * 40


def host_with_a_market(folder: Path) -> InferenceHost:
    """A host whose lake has everything that each of the hours needs."""
    host = InferenceHost(folder, hours=HOURS + 8)
    first = NOON - HISTORY_HOURS * HOUR
    for symbol in host.settings.symbols:
        host.lake.upsert(KLINES, bars(walk(HISTORY_HOURS), first=first, symbol=symbol))
        host.lake.upsert(MARK_KLINES, mark_bars(walk(HISTORY_HOURS), first=first, symbol=symbol))
        settled = {first + 8 * n * HOUR: 0.0001 for n in range(HISTORY_HOURS // 8)}
        host.lake.upsert(FUNDING_RATES, funding(settled, symbol=symbol))
    hours = [FIRST + number * HOUR for number in range(HOURS)]
    scored = [compute_consensus(host.lake, settings=host.settings, decision_time=hour)[1] for hour in hours]
    host.lake.upsert(CONSENSUS, pl.concat(scored))
    host.produce("7", rich_parts(), stacking=True, created_at=FIRST - timedelta(days=1))
    return host


def hourly_run(host: InferenceHost, decision_time: datetime) -> SignalRecord:
    """Forecast, evidence and signal of one hour, as the assets do them."""
    now = decision_time + timedelta(seconds=20)
    host.forecast(decision_time)
    evidence = load_evidence(
        host.lake, settings=host.settings, now=now, decision_time=decision_time, exchange_reachable=True
    )
    return decide_hour(
        settings=host.settings,
        decision_time=decision_time,
        emitted_at=now,
        verdict=evidence.verdict,
        freshness=evidence.freshness,
        snapshot=evidence.snapshot,
        ml=evidence.ml,
        forecast=evidence.forecast,
        model=evidence.model,
        mark_price=evidence.mark_price,
        table_versions={},
        **{**ORIGIN, "provenance": evidence.provenance},
    )


@pytest.mark.slow
def test_no_hour_of_a_switch_over_is_without_a_forecast_or_a_signal(tmp_path: Path) -> None:
    """Hours 0-11 run here, 12-23 through the service, at 24 it is killed, at 36 it is back on the same port.

    The breaker opens with the third failed hour (26) and rests two and a half hours between probes: 29, 32, 35 and 38
    are probes, the last one finds the service back.
    """
    host = host_with_a_market(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    records = []
    with ExitStack() as stack:
        process, url = stack.enter_context(service_process(host.settings, now=CLOCK, token_file=token))
        for number in range(HOURS):
            if number == 12:
                host.configure(enabled=True, url=url, token_file=token, attempts=1, breaker_cooldown_minutes=150)
            if number == 24:
                process.send_signal(signal.SIGKILL)
                process.wait()
            if number == 36:
                port = int(url.rpartition(":")[2])
                stack.enter_context(service_process(host.settings, now=CLOCK, port=port, token_file=token))
            records.append(hourly_run(host, FIRST + number * HOUR))

    assert [record.decision_time for record in records] == [FIRST + number * HOUR for number in range(HOURS)]
    assert all(record.ml.ml_available and record.ml.ml_prob_up_5h is not None for record in records)
    assert {str(record.state) for record in records} <= {"tradeable", "degraded"}
    assert all(record.ml.ml_error is None for record in records)

    remote = [number for number, record in enumerate(records) if record.ml.ml_remote_inference]
    assert remote == [*range(12, 24), *range(38, 48)]
    open_breaker = [n for n, record in enumerate(records) if "CircuitOpen" in record.ml.ml_reason]
    assert open_breaker == [27, 28, 30, 31, 33, 34, 36, 37]
    counted = inference_coverage(host.lake, symbol="ETHUSDT", first=FIRST, last=NOON)
    assert counted == InferenceCoverage(hours=HOURS, remote=22, fallback=14, local=12)
    assert counted.share >= 0.95

    rows = host.lake.read(FORECASTS, where=pl.col("acting"))
    assert Counter(iso(time) for time in rows["decision_time"]) == {
        iso(FIRST + number * HOUR): 3 for number in range(HOURS)
    }
