"""The evidence of one hour, read at the point of use: nothing old and nothing of another bundle ever counts."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from eth_pipeline.contracts.artifact import FeatureInput, HorizonModel
from eth_pipeline.contracts.decision_tables import CONSENSUS, FORECASTS
from eth_pipeline.contracts.signal import ReasonCode, SignalState
from eth_pipeline.contracts.tables import FUNDING_RATES, KLINES, MARK_KLINES
from eth_pipeline.errors import BundleAbsent, BundleRefused
from eth_pipeline.features.catalogue import feature_names, features_contract
from eth_pipeline.lake import Lake
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint, verify_bundle, write_bundle
from eth_pipeline.registry.bundles.signing import create_key_pair
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.production import point_to
from eth_pipeline.settings import GateSettings, Settings
from eth_pipeline.signals.evidence import Evidence, compute_consensus, compute_forecasts, load_evidence
from eth_pipeline.signals.forecasting.bundle_in_use import running_schema
from eth_pipeline.signals.gating.kill_switch import pull, release
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, sample_settings, walk
from eth_pipeline_tests.registry_maker import contract, data_versions, report

DAYS = 82
CLOCK = NOON + timedelta(seconds=20)
EXPIRES = NOON + timedelta(days=10)


def constant_model(probability: float) -> bytes:
    """An ONNX model that answers `probability` whatever it is asked."""
    import math

    from onnx import TensorProto, helper

    number = TensorProto.FLOAT
    nodes = [
        helper.make_node("IsNaN", ["features"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "features"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["flat"]),
        helper.make_node("Add", ["flat", "score"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("weights", number, [2, 1], [0.0, 0.0]),
        helper.make_tensor("zero", number, [], [0.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("score", number, [], [math.log(probability / (1 - probability))]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("features", number, [None, 2])],
        [helper.make_tensor_value_info("probability", number, [None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Host:
    """A host whose lake has everything that one hour needs; bundles are put into production on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = sample_settings(folder / "home")
        self.lake = Lake(self.settings.lake_location)
        first = NOON - timedelta(days=DAYS)
        for symbol in self.settings.symbols:
            self.lake.upsert(KLINES, bars(walk(24 * DAYS), first=first, symbol=symbol))
            self.lake.upsert(MARK_KLINES, mark_bars(walk(24 * DAYS), first=first, symbol=symbol))
            self.lake.upsert(FUNDING_RATES, funding({NOON - 4 * HOUR: 0.0001}, symbol=symbol))
        self.lake.replace(self.features, pl.concat([self.feature_row(NOON - HOUR), self.feature_row(NOON)]))
        self.lake.upsert(CONSENSUS, compute_consensus(self.lake, settings=self.settings, decision_time=NOON)[1])
        create_key_pair(private_key=self.settings.private_key_path, public_key=self.settings.public_key_paths[0])

    @property
    def features(self) -> Any:
        return features_contract(symbol=self.settings.symbol, cross_symbols=self.settings.cross_symbols)

    def feature_row(self, decision_time: datetime) -> pl.DataFrame:
        row = {
            "symbol": "ETHUSDT",
            "decision_time": decision_time,
            "available_at": decision_time,
            "coverage": 0.97,
            "provenance": "simulated",
        }
        return pl.DataFrame([{name: row.get(name, 0.5) for name in self.features.schema}], schema=self.features.schema)

    def produce(self, name: str, *, probability: float = 0.6, content: bytes | None = None) -> str:
        """Put a signed bundle whose models answer `probability` into production; its fingerprint."""
        inputs = feature_names(symbol="ETHUSDT", cross_symbols=self.settings.cross_symbols)[:2]
        models = tuple(
            HorizonModel(
                horizon_hours=hours,
                file=f"lightgbm_{hours}h.onnx",
                algorithm="lightgbm",
                input_name="features",
                output_name="probability",
                long_threshold=0.55,
                short_threshold=0.45,
            )
            for hours in (5, 12, 24)
        )
        made = contract(
            created_at=NOON - timedelta(days=1),
            expires_at=EXPIRES,
            provenance="simulated",
            feature_schema=running_schema(self.settings),
            inputs=tuple(FeatureInput(name=name) for name in inputs),
            models=models,
        )
        incoming = self.folder / name
        figures = report(provenance="simulated")
        answer = constant_model(probability) if content is None else content
        write_bundle(
            incoming, contract=made, models={m.file: answer for m in models}, report=figures, data=data_versions()
        )
        decision = decide(
            figures,
            phase="paper",
            settings=GateSettings(),
            candidate_fingerprint=fingerprint(incoming),
            champion_fingerprint=None,
            champion_comparison=None,
            decided_at=NOON,
        )
        attach_decision(incoming, decision, private_key=self.settings.private_key_path)
        kept = self.settings.home / "production" / fingerprint(incoming)
        kept.parent.mkdir(parents=True, exist_ok=True)
        incoming.rename(kept)
        bundle = verify_bundle(
            kept,
            public_keys=self.settings.public_key_paths,
            phase="paper",
            now=NOON,
            feature_schema=running_schema(self.settings),
            base_interval="1h",
            symbol="ETHUSDT",
        )
        point_to(bundle, version=name, home=self.settings.home, verified_at=NOON)
        return bundle.fingerprint

    def forecast(self, decision_time: datetime = NOON) -> None:
        """What the asset `forecast` does."""
        rows = compute_forecasts(self.lake, settings=self.settings, now=CLOCK, decision_time=decision_time)
        self.lake.upsert(FORECASTS, rows)

    def evidence(self, *, now: datetime = CLOCK, decision_time: datetime = NOON, reachable: bool = True) -> Evidence:
        return load_evidence(
            self.lake, settings=self.settings, now=now, decision_time=decision_time, exchange_reachable=reachable
        )


def codes(evidence: Evidence) -> set[str]:
    """Codes of the reasons, without the sources that this small lake does not have."""
    found = {reason.code for reason in evidence.verdict.reasons}
    return {str(code) for code in found if code is not ReasonCode.SOURCE_DEGRADED}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without a bundle, twenty seconds after the hour closed."""
    return Host(tmp_path)


def test_a_stored_forecast_of_the_bundle_in_use_counts(host: Host) -> None:
    made = host.produce("1")
    host.forecast()
    evidence = host.evidence()
    assert codes(evidence) == set()
    assert evidence.ml.available
    assert evidence.model is not None
    assert (evidence.model.version, evidence.model.fingerprint) == ("1", made)
    assert evidence.forecast is not None
    assert evidence.forecast.probabilities == pytest.approx({5: 0.6, 12: 0.6, 24: 0.6}, abs=1e-5)
    assert evidence.mark_price == host.lake.read(MARK_KLINES, where=pl.col("close_time") == NOON)["close"][-1]
    assert evidence.snapshot.coverage == pytest.approx(71 / 79)  # of the weights, all but 15m and 30m


def test_a_forecast_of_another_bundle_never_counts(host: Host) -> None:
    """The bundle moved between the forecast and the signal: the number belongs to a model that is not in use."""
    host.produce("1", probability=0.9)
    host.forecast()
    second = host.produce("2", probability=0.2)
    evidence = host.evidence()
    assert evidence.forecast is None
    assert codes(evidence) == {"ml_unavailable"}
    assert evidence.model is not None
    assert evidence.model.fingerprint == second
    host.forecast()
    again = host.evidence().forecast
    assert again is not None
    assert again.probabilities[5] == pytest.approx(0.2, abs=1e-5)


def test_a_forecast_of_an_older_hour_never_counts(host: Host) -> None:
    host.produce("1")
    host.forecast(NOON - HOUR)
    evidence = host.evidence()
    assert evidence.forecast is None
    assert codes(evidence) == {"ml_unavailable"}
    assert "materialize `forecast`" in evidence.ml.detail


def test_a_forecast_that_lacks_a_horizon_never_counts(host: Host) -> None:
    host.produce("1")
    rows = compute_forecasts(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON)
    host.lake.upsert(FORECASTS, rows.filter(pl.col("horizon_hours") != 12))
    assert codes(host.evidence()) == {"ml_unavailable"}


@pytest.mark.parametrize(
    ("now", "expected"), [(EXPIRES - timedelta(microseconds=1), False), (EXPIRES, True)], ids=["before", "at"]
)
def test_an_expired_bundle_is_named_so_although_its_forecast_is_stored(
    host: Host, now: datetime, expected: bool
) -> None:
    host.produce("1")
    host.forecast()
    evidence = host.evidence(now=now)
    assert ("bundle_expired" in codes(evidence)) is expected
    assert (evidence.forecast is None) is expected


def test_without_a_bundle_the_hour_is_degraded_and_says_so(host: Host) -> None:
    evidence = host.evidence()
    assert evidence.verdict.state is SignalState.DEGRADED
    assert codes(evidence) == {"bundle_absent"}
    with pytest.raises(BundleAbsent):
        compute_forecasts(host.lake, settings=host.settings, now=CLOCK, decision_time=NOON)


def test_a_changed_byte_in_the_bundle_takes_its_stored_forecast_out(host: Host) -> None:
    made = host.produce("1")
    host.forecast()
    model = host.settings.home / "production" / made / "models" / "lightgbm_5h.onnx"
    model.write_bytes(model.read_bytes() + b"x")
    evidence = host.evidence()
    assert codes(evidence) == {"bundle_refused"}
    assert evidence.forecast is None
    assert "HashMismatch" in evidence.ml.detail


def test_a_signed_file_that_is_no_model_is_a_refusal_and_not_a_crash(host: Host) -> None:
    """A crash of the forecast would skip the verdict and the signal, and the hour would have no record."""
    host.produce("1", content=b"signed, and no ONNX")
    with pytest.raises(BundleRefused, match="ONNX Runtime"):
        host.forecast()
    assert codes(host.evidence()) == {"ml_unavailable"}


def test_the_kill_switch_blocks_while_its_file_exists(host: Host) -> None:
    pull(host.settings.home, reason="drawdown")
    pull(host.settings.home, reason="a second reason does not hide the first")
    stopped = host.evidence()
    assert stopped.verdict.state is SignalState.BLOCKED
    assert (stopped.verdict.allow_open, stopped.verdict.allow_close) == (False, True)
    assert "kill_switch operator: drawdown" in stopped.verdict.gating_reason
    assert release(host.settings.home)
    assert not release(host.settings.home)
    assert "kill_switch" not in codes(host.evidence())


def test_an_hour_without_features_or_consensus_is_blocked_by_the_features(host: Host) -> None:
    evidence = host.evidence(now=CLOCK + HOUR, decision_time=NOON + HOUR)
    assert evidence.verdict.state is SignalState.BLOCKED
    assert {"features_missing", "consensus_thin", "stream_stale"} <= codes(evidence)
    assert evidence.snapshot.coverage == 0.0
    assert evidence.mark_price is None
    assert evidence.provenance == "simulated"


def test_features_of_another_definition_do_not_count(host: Host) -> None:
    host.settings = host.settings.model_copy(update={"cross_symbols": ("SOLUSDT",)})
    assert "features_missing" in codes(host.evidence())


def test_an_hour_that_is_decided_late_is_judged_by_the_clock_and_not_by_its_name(host: Host) -> None:
    """Measured at the hour itself every bar is fresh, however long ago the hour was."""
    in_time, late = host.evidence(now=CLOCK), host.evidence(now=NOON + HOUR)
    stale = [reason.subject for reason in late.verdict.reasons if reason.code is ReasonCode.STREAM_STALE]
    assert ReasonCode.STREAM_STALE not in codes(in_time)
    assert "klines ETHUSDT" in stale
    assert late.verdict.state is SignalState.BLOCKED


def test_an_exchange_that_did_not_answer_is_a_reason_even_on_fresh_rows(host: Host) -> None:
    evidence = host.evidence(reachable=False)
    assert evidence.verdict.state is SignalState.DEGRADED
    assert "exchange_unreachable" in codes(evidence)


def test_an_empty_lake_is_blocked_and_not_an_error(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    lake = Lake(settings.lake_location)
    evidence = load_evidence(lake, settings=settings, now=CLOCK, decision_time=NOON, exchange_reachable=True)
    assert evidence.verdict.state is SignalState.BLOCKED
    assert {"stream_absent", "features_missing", "consensus_thin", "bundle_absent"} <= codes(evidence)
    snapshot, rows = compute_consensus(lake, settings=settings, decision_time=NOON)
    assert rows.is_empty()
    assert snapshot.scores == ()
