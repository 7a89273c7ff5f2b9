"""docs/reason_codes.md is what the words and the policy say."""

from pathlib import Path

from eth_pipeline.contracts.signal import ReasonCode
from eth_pipeline.signals.gating.reason_docs import render_reason_codes

DOCUMENT = Path(__file__).parents[1] / "docs" / "reason_codes.md"


def test_the_document_is_generated_from_the_policy() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_reason_codes()


def test_every_reason_has_a_line_in_english_one_in_chinese_and_one_of_policy() -> None:
    rows = [line.split("`")[1] for line in render_reason_codes().splitlines() if line.startswith("| `")]
    assert rows == [*ReasonCode] * 3
