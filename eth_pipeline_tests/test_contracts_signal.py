"""The signal record: what is written to the log comes back as the same record, and nothing else passes for one."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eth_pipeline.contracts.signal import MlFields, ReasonCode, SignalRecord, StreamFreshness, record_from_json
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline_tests.decision_samples import MODEL, NOON, forecast, sample_settings, signal

DOCUMENT = Path(__file__).parents[1] / "docs" / "reason_codes.md"


def full_record() -> SignalRecord:
    """A record with everything in it: a forecast, a model, a stale stream, a held position."""
    stale = StreamFreshness(
        stream="open_interest",
        symbol="ETHUSDT",
        newest_available_at=NOON,
        lag_hours=3.25,
        max_lag_hours=3.0,
        stale_policy="degrade",
        freshness_source="api",
        fresh=False,
    )
    return signal(
        sample_settings(),
        ml=MlAvailability(True, None, "version 7 answered"),
        forecast=forecast(0.61, 0.58, 0.55),
        model=MODEL,
        freshness=(stale,),
        held_share=-0.1,
    )


@pytest.mark.parametrize("make", [full_record, lambda: signal(sample_settings())], ids=["full", "without a model"])
def test_a_record_survives_the_log_unchanged(make: Any) -> None:
    record = make()
    assert record_from_json(json.dumps(record.flat(), allow_nan=False)) == record


def test_the_log_line_has_every_ml_field_at_top_level() -> None:
    """The reviewed system computed a forecast and logged none of it in 100 signals."""
    flat = full_record().flat()
    assert set(MlFields.model_fields) <= set(flat)
    assert "ml" not in flat
    assert flat["ml_prob_up_5h"] == pytest.approx(0.61)
    assert flat["ml_fingerprint"] == MODEL.fingerprint
    assert flat["decision_time"] == "2025-03-03T12:00:00Z"


def test_no_ml_field_shares_its_name_with_a_field_of_the_record() -> None:
    """Flattened, one would silently overwrite the other."""
    assert not set(MlFields.model_fields) & set(SignalRecord.model_fields)
    assert all(name.startswith("ml_") for name in MlFields.model_fields)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "fine"},
        {"action": "BUY"},
        {"phase": "demo"},
        {"position_share": 1.01},
        {"position_share": -0.01},
        {"decision_time": "2025-03-03T12:00:00"},
        {"schema_version": 2},
        {"colour": "red"},
        {"reasons": [{"code": "bad_mood", "subject": "x", "detail": "y"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        record_from_json(json.dumps({**full_record().flat(), **change}))


def test_a_missing_field_is_refused_and_not_guessed() -> None:
    flat = full_record().flat()
    del flat["allow_open"]
    with pytest.raises(ValidationError, match="allow_open"):
        record_from_json(json.dumps(flat))


def test_a_record_cannot_be_edited() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        full_record().allow_open = True  # type: ignore[misc]  # the point of the test


def test_instants_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        signal(sample_settings(), emitted_at=datetime(2025, 3, 3, 12), decision_time=datetime(2025, 3, 3, 12))


def test_every_reason_code_is_documented_and_written_in_lower_case() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for code in ReasonCode:
        assert f"| `{code}` |" in text, f"{code} is missing in {DOCUMENT.name}"
        assert code.value == code.name.lower()
