"""The bundle that the service serves: whatever the pointer names, verified at every move, or nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.errors import BundleAbsent, BundleExpired, BundleRefused, HashMismatch
from eth_pipeline.registry.promotions.production import point_to
from eth_pipeline.serving.probe import make_probe, middle_rows
from eth_pipeline.serving.served_bundle import ServedBundle, best_providers
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline_tests.decision_samples import NOON
from eth_pipeline_tests.inference_host import (
    CLOCK,
    EXPIRES,
    INPUTS,
    WINDOW_HOURS,
    InferenceHost,
    plain_parts,
    rich_parts,
)


@pytest.fixture
def host(tmp_path: Path) -> InferenceHost:
    """A host without a bundle."""
    return InferenceHost(tmp_path)


def served(host: InferenceHost, clock: FixedClock | None = None) -> ServedBundle:
    return ServedBundle(host.settings, clock=clock or FixedClock(CLOCK))


def test_the_bundle_is_loaded_once_and_again_when_the_pointer_moves(host: InferenceHost) -> None:
    first = host.produce("1")
    service = served(host)
    loaded = service.current()
    assert service.current() is loaded
    assert loaded.forecaster.info.fingerprint == first.fingerprint
    second = host.produce("2", plain_parts(bias=-1.0))
    assert service.current().forecaster.info.fingerprint == second.fingerprint
    point_to(first, version="1", home=host.settings.home, verified_at=NOON)  # a rollback
    assert service.current().forecaster.info == loaded.forecaster.info


def test_nothing_is_served_after_a_move_to_a_bundle_that_is_refused(host: InferenceHost) -> None:
    host.produce("1")
    clock = FixedClock(CLOCK)
    service = served(host, clock)
    service.current()
    broken = host.produce("2", plain_parts(bias=-1.0))
    model = broken.folder / "models" / "lightgbm_5h.onnx"
    intact = model.read_bytes()
    model.write_bytes(intact + b"x")
    with pytest.raises(HashMismatch):
        service.current()
    model.write_bytes(intact)
    with pytest.raises(HashMismatch):  # not verified again for every request of a flood
        service.current()
    clock.instant = CLOCK + timedelta(seconds=11)
    assert service.current().forecaster.info.version == "2"


def test_a_refusal_of_one_bundle_is_not_held_against_the_next(host: InferenceHost) -> None:
    service = served(host)
    with pytest.raises(BundleAbsent):
        service.current()
    host.produce("1")
    assert service.current().forecaster.info.version == "1"


def test_the_expiry_is_checked_at_every_use(host: InferenceHost) -> None:
    host.produce("1")
    clock = FixedClock(EXPIRES - timedelta(microseconds=1))
    service = served(host, clock)
    service.current()
    clock.instant = EXPIRES
    with pytest.raises(BundleExpired):
        service.current()


def test_a_pointer_that_is_none_is_refused(host: InferenceHost) -> None:
    host.produce("1")
    service = served(host)
    (host.settings.home / "production" / "current").write_text("{}")
    with pytest.raises(BundleRefused, match="does not name"):
        service.current()


def test_without_a_gpu_the_cpu_is_chosen() -> None:
    import onnxruntime

    assert best_providers()[-1] == "CPUExecutionProvider"
    assert (len(best_providers()) == 2) is ("CUDAExecutionProvider" in onnxruntime.get_available_providers())


@pytest.mark.parametrize("parts", [plain_parts, rich_parts])
def test_the_probe_is_the_newest_stored_row_and_sees_every_figure(host: InferenceHost, parts: Any) -> None:
    bundle = host.produce("1", parts(), stacking=parts is rich_parts)
    probe = make_probe(bundle, settings=host.settings, now=CLOCK)
    assert probe.source == "newest feature rows"
    assert probe.rows.height == bundle.contract.window_hours
    assert probe.rows["decision_time"][-1] == NOON
    assert probe.difference(BundleForecaster(bundle, version="1"), now=CLOCK) == 0.0
    other = host.produce("2", parts(bias=0.45), stacking=parts is rich_parts)
    assert probe.difference(BundleForecaster(other, version="2"), now=CLOCK) > 1e-3


def test_a_forecast_with_other_figures_is_no_proof(host: InferenceHost) -> None:
    probe = make_probe(host.produce("1", rich_parts()), settings=host.settings, now=CLOCK)
    poorer = host.produce("2", plain_parts())
    with pytest.raises(BundleRefused):
        probe.difference(BundleForecaster(poorer, version="2"), now=CLOCK)


@pytest.mark.parametrize("trouble", ["absent", "other definition", "damaged"])
def test_a_service_without_a_usable_lake_probes_the_middle_of_the_training_bounds(
    host: InferenceHost, trouble: str
) -> None:
    """A GPU host has the bundle and nothing else."""
    bundle = host.produce("1", rich_parts())
    settings = host.settings
    if trouble == "absent":
        settings = settings.model_copy(update={"lake_url": str(host.folder / "nowhere")})
    if trouble == "other definition":
        settings = settings.model_copy(update={"cross_symbols": ("SOLUSDT",)})
    if trouble == "damaged":
        for entry in (host.folder / "home" / "lake" / "features" / "_delta_log").iterdir():
            entry.write_text("no json")
    probe = make_probe(bundle, settings=settings, now=CLOCK)
    assert probe.source == "training bounds"
    assert probe.rows.select(host.inputs).rows() == [(0.25,) * INPUTS] * WINDOW_HOURS
    assert probe.expected.coverage == 1.0
    assert probe.difference(BundleForecaster(bundle, version="1"), now=CLOCK) == 0.0


def test_an_input_without_bounds_is_probed_at_zero(host: InferenceHost) -> None:
    contract = host.contract(plain_parts())
    free = contract.inputs[0].model_copy(update={"lower": None, "upper": None})
    half = contract.inputs[1].model_copy(update={"lower": None})
    rows = middle_rows(contract.model_copy(update={"inputs": (free, half, contract.inputs[2])}), now=CLOCK)
    assert rows.select(host.inputs).row(0) == (0.0, 4.5, 0.25)
