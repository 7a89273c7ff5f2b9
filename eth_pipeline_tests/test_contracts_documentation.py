"""docs/tables.md is what the contracts say."""

from pathlib import Path

from eth_pipeline.contracts.documentation import DOCUMENTED, render_tables

DOCUMENT = Path(__file__).parents[1] / "docs" / "tables.md"


def test_the_document_is_generated_from_the_contracts() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render_tables()


def test_every_column_says_what_it_means() -> None:
    for table in DOCUMENTED:
        assert len({column.name for column in table.columns}) == len(table.columns)
        assert all(column.unit and column.description for column in table.columns), table.name
