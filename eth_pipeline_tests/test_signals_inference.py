"""Who forecasts the hour: a service that is down, slow or wrong costs no forecast, and every row says who it was."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.contracts.decision_tables import FORECASTS
from eth_pipeline.errors import BundleExpired
from eth_pipeline.serving.server import InferenceServer
from eth_pipeline.signals.forecasting.forecast import ModelInfo
from eth_pipeline.signals.forecasting.forecast_rows import stored_forecast
from eth_pipeline.signals.forecasting.inference import InferenceCoverage, inference_coverage, inference_state
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.ml_fields import record_ml
from eth_pipeline_tests.decision_samples import HOUR, NOON
from eth_pipeline_tests.inference_host import CLOCK, EXPIRES, TOKEN, InferenceHost, plain_parts, rich_parts
from eth_pipeline_tests.test_signals_remote import CLOSED_PORT, odd_service, silent


def test_the_service_and_this_host_answer_the_same_to_the_last_bit(tmp_path: Path) -> None:
    """Two algorithms, one of them over a window with holes, their stack, quantiles and the regime."""
    host = InferenceHost(tmp_path)
    host.produce("1", rich_parts(), stacking=True)
    here = host.forecast()
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        host.configure(enabled=True, url=server.url)
        there = host.forecast()
    assert set(here["inference"]) == {"local"}
    assert set(there["inference"]) == {"remote"}
    assert there["fallback_reason"].is_null().all()
    assert set(there["algorithm"]) == {"lightgbm", "lstm", "stacking"}
    assert there.drop("inference").equals(here.drop("inference"))
    assert there["quantiles"].is_not_null().any()
    assert there["regime"].is_not_null().any()


def test_a_remote_answer_is_recorded_as_such_in_the_signals_fields(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    bundle = host.produce("1")
    model = ModelInfo(version="1", fingerprint=bundle.fingerprint, contract=bundle.contract)
    ml = MlAvailability(True, None, "version 1 answered")
    fields = {"ml": ml, "model": model, "distrusted": None, "settings": host.settings.signals}
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        host.configure(enabled=True, url=server.url)
        remote = record_ml(forecast=stored_forecast(host.forecast(), contract=bundle.contract), **fields)
    fallback = record_ml(forecast=stored_forecast(host.forecast(), contract=bundle.contract), **fields)
    assert (remote.ml_remote_inference, remote.ml_reason) == (True, "version 1 answered through the inference service")
    assert remote.ml_available
    assert not fallback.ml_remote_inference
    assert fallback.ml_available
    assert fallback.ml_reason.startswith("version 1 answered on this host: InferenceUnavailable: POST")
    assert (remote.ml_prob_up_5h, remote.ml_prob_up_24h) == (fallback.ml_prob_up_5h, fallback.ml_prob_up_24h)


def test_every_failure_of_the_service_ends_in_a_local_forecast_with_its_reason(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    host.produce("1")
    host.configure(enabled=True, attempts=1, read_timeout_seconds=0.1, breaker_failures=2)
    expected = []

    def reason_of(rows: pl.DataFrame) -> str:
        assert set(rows["inference"]) == {"local"}
        assert rows.filter("acting").height == 3
        (said,) = rows["fallback_reason"].unique()
        expected.append(str(said).partition(":")[0])
        return expected[-1]

    host.configure(url=CLOSED_PORT)
    assert reason_of(host.forecast()) == "InferenceUnavailable"
    with odd_service(silent) as slow:
        host.configure(url=slow.url)
        assert reason_of(host.forecast()) == "InferenceUnavailable"
        assert reason_of(host.forecast()) == "InferenceUnavailable"
        assert reason_of(host.forecast()) == "CircuitOpen"
    guarded = host.settings.model_copy(
        update={"inference": host.settings.inference.model_copy(update={"token": SecretStr(TOKEN)})}
    )
    with InferenceServer(guarded, clock=FixedClock(CLOCK)) as server:
        host.configure(url=server.url)
        assert reason_of(host.forecast()) == "InferenceRefused"
        host.configure(token_file=tmp_path / "nowhere")
        assert reason_of(host.forecast()) == "SettingsInvalid"


def test_a_damaged_memory_of_the_breaker_costs_the_service_and_not_the_hour(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path, enabled=True, url=CLOSED_PORT)
    host.produce("1")
    inference_state(host.settings).write_bytes(b"no database" * 100)
    rows = host.forecast()
    assert "DatabaseError" in rows["fallback_reason"][0]
    assert rows.filter("acting").height == 3


def test_a_service_of_another_bundle_is_not_believed(tmp_path: Path) -> None:
    """Between a promotion and its arrival at the other host two bundles are in use."""
    host, other = InferenceHost(tmp_path / "here"), InferenceHost(tmp_path / "there")
    host.produce("1")
    other.produce("1", plain_parts(bias=-1.0))
    with InferenceServer(other.settings, clock=FixedClock(CLOCK)) as server:
        host.configure(enabled=True, url=server.url)
        rows = host.forecast()
    assert set(rows["inference"]) == {"local"}
    assert "verified" in rows["fallback_reason"][0]


def test_the_expiry_of_this_hosts_bundle_counts_whatever_the_service_answers(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    host.produce("1")
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        host.configure(enabled=True, url=server.url)
        with pytest.raises(BundleExpired):
            host.forecast(now=EXPIRES)


def test_hours_are_counted_by_who_forecast_them(tmp_path: Path) -> None:
    host = InferenceHost(tmp_path)
    host.produce("1")
    host.forecast(NOON - 5 * HOUR)
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        host.configure(enabled=True, url=server.url)
        for ago in (4, 3):
            host.forecast(NOON - ago * HOUR)
    host.forecast(NOON - HOUR)
    shadow = host.forecast(NOON).with_columns(
        role=pl.lit("shadow"), acting=pl.lit(False), decision_time=pl.lit(NOON - 2 * HOUR, pl.Datetime("us", "UTC"))
    )
    host.lake.upsert(FORECASTS, shadow)
    counted = inference_coverage(host.lake, symbol="ETHUSDT", first=NOON - 6 * HOUR, last=NOON)
    assert counted == InferenceCoverage(hours=7, remote=2, fallback=2, local=1)
    assert counted.none == 2
    assert counted.share == pytest.approx(5 / 7)
    assert inference_coverage(host.lake, symbol="BTCUSDT", first=NOON, last=NOON).share == 0.0
    with pytest.raises(ValueError, match="older one first"):
        inference_coverage(host.lake, symbol="ETHUSDT", first=NOON, last=NOON - timedelta(hours=1))
