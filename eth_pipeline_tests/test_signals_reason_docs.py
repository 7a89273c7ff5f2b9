"""docs/reason_codes.md is what the policy says."""

from pathlib import Path

from eth_pipeline.contracts.signal import ReasonCode
from eth_pipeline.signals.reason_docs import EXPLANATIONS, render_reason_codes

DOCUMENT = Path(__file__).parents[1] / "docs" / "reason_codes.md"


def test_the_document_is_generated_from_the_policy() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_reason_codes()


def test_every_reason_has_its_cause_and_cure() -> None:
    assert set(EXPLANATIONS) == set(ReasonCode)
    assert all(text.cause and text.cure for text in EXPLANATIONS.values())
