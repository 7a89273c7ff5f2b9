"""The model bundle's shapes: expiry to the microsecond, digests that notice an order, decisions that say why."""

from datetime import timedelta, timezone

import pytest
from pydantic import ValidationError

from eth_pipeline.contracts.artifact import (
    FeatureInput,
    GateResult,
    PromotionDecision,
    RuntimeContract,
    expired,
    feature_schema_digest,
)
from eth_pipeline_tests.registry_maker import NOW, contract

TICK = timedelta(microseconds=1)


def gate(name: str, *, passed: bool, required_for: tuple[str, ...]) -> GateResult:
    return GateResult.model_validate(
        {"name": name, "value": 0.5, "threshold": 0.6, "passed": passed, "required_for": required_for, "reason": "so"}
    )


def made_decision(*gates: GateResult, phase: str = "paper") -> PromotionDecision:
    return PromotionDecision.model_validate(
        {
            "decision_id": "d1",
            "decided_at": NOW,
            "phase": phase,
            "candidate_fingerprint": "a" * 64,
            "champion_fingerprint": None,
            "provenance": "binance",
            "promoted": False,
            "gates": gates,
            "pays_after_costs": False,
            "summary": "refused",
        }
    )


@pytest.mark.parametrize(("offset", "over"), [(-TICK, False), (timedelta(0), True), (TICK, True)])
def test_a_bundle_expires_at_the_very_instant_it_names(offset: timedelta, over: bool) -> None:
    made = contract(expires_at=NOW)
    assert expired(made, now=NOW + offset) is over


def test_the_expiry_is_an_instant_and_not_a_wall_clock_reading() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=8)))
    assert expired(contract(expires_at=NOW), now=elsewhere)
    assert not expired(contract(expires_at=NOW), now=elsewhere - TICK)


def test_a_contract_without_a_zone_or_with_an_unknown_field_is_refused() -> None:
    values = contract().model_dump()
    with pytest.raises(ValidationError, match="expires_at"):
        RuntimeContract.model_validate({**values, "expires_at": NOW.replace(tzinfo=None)})
    with pytest.raises(ValidationError, match="colour"):
        RuntimeContract.model_validate({**values, "colour": "red"})
    with pytest.raises(ValidationError, match="dtype"):
        FeatureInput.model_validate({"name": "a", "dtype": "float64"})


def test_a_contract_survives_json() -> None:
    made = contract()
    assert RuntimeContract.model_validate_json(made.model_dump_json()) == made


def test_the_schema_digest_notices_order_interval_and_definition() -> None:
    base = feature_schema_digest(("a", "b"), base_interval="1h", definition_version="1")
    others = [
        feature_schema_digest(("b", "a"), base_interval="1h", definition_version="1"),
        feature_schema_digest(("a",), base_interval="1h", definition_version="1"),
        feature_schema_digest(("ab",), base_interval="1h", definition_version="1"),
        feature_schema_digest(("a", "b"), base_interval="15m", definition_version="1"),
        feature_schema_digest(("a", "b"), base_interval="1h", definition_version="2"),
    ]
    assert len({base, *others}) == 6
    assert base == feature_schema_digest(("a", "b"), base_interval="1h", definition_version="1")


def test_only_gates_that_the_phase_requires_count_as_failed() -> None:
    both, live = (
        gate("oof_auc", passed=False, required_for=("paper", "live")),
        gate("provenance", passed=False, required_for=("live",)),
    )
    fine = gate("n_samples", passed=True, required_for=("paper", "live"))
    assert [g.name for g in made_decision(both, live, fine).failed_gates] == ["oof_auc"]
    assert [g.name for g in made_decision(both, live, fine, phase="live").failed_gates] == ["oof_auc", "provenance"]
