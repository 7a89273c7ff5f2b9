"""docs/settings.md is what the models say."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from eth_pipeline.settings import Settings, load_settings
from eth_pipeline.settings.documentation import render_settings, unit

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
_CELL_END = r"(?<!\\)\|"


def test_the_document_is_generated_from_the_models() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_settings()


def test_every_setting_has_one_line_and_says_what_it_means() -> None:
    rows = [re.split(_CELL_END, line) for line in render_settings().splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == [*top_first(load_settings())]
    assert all(len(row) == 7 and row[5].strip().endswith(".") for row in rows)


def test_every_section_says_what_it_is_about() -> None:
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            assert (type(field.default).__doc__ or "").strip().endswith("."), name


def test_a_unit_is_read_from_the_end_of_the_name() -> None:
    assert unit("account.volatility_target_share_per_year") == "share per year"
    assert unit("account.reserve_share") == "share, 0 to 1"
    assert unit("exchange.attempts") == ""


def top_first(settings: Settings) -> Iterator[str]:
    """Names of all settings: those of no section, then section by section."""
    dump = settings.model_dump()
    yield from (name for name, value in dump.items() if not isinstance(value, dict))
    for name, value in dump.items():
        yield from leaves(value, name) if isinstance(value, dict) else ()


def leaves(tree: dict[str, object], prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        yield from leaves(value, f"{prefix}.{name}") if isinstance(value, dict) else (f"{prefix}.{name}",)
