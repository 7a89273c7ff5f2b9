"""What people read in operation, in English and in Chinese; the setting `language` chooses.

Belongs here: every reason, verdict, alert, state, label and sentence that the board, a message or a terminal table
shows, each once, in both languages. Does not belong: codes, field names and JSON, which have no language; the messages
of errors, command help and documents, which are English (the README and the runbook have a Chinese edition).
"""

from collections.abc import Callable

from eth_pipeline.contracts.wording import (
    alerts,
    alias,
    board,
    details,
    forecasts,
    gates,
    health,
    lineage,
    processes,
    reasons,
)
from eth_pipeline.contracts.wording.labels import LABELS
from eth_pipeline.contracts.wording.phrase import Phrase, PhraseBook, phrases_of
from eth_pipeline.contracts.wording.terminal import TERMINAL
from eth_pipeline.settings import Language

_MODULES = (reasons, details, forecasts, gates, alias, processes, health, lineage, alerts, board)
_LINES = (details.in_line, gates.in_line, alias.in_line, processes.in_line)


def _apart(text: str, said: Callable[[str], str]) -> str:
    """A line of several sentences, by the one who knows how it is written; a text of nobody stays."""
    return next((shown for read in _LINES if (shown := read(text, said)) != text), text)


BOOK = PhraseBook((phrase for module in _MODULES for phrase in phrases_of(module)), apart=_apart)
"""Everything that is recorded in English and read in either language."""


def said(text: str, language: Language) -> str:
    """A recorded English text in the reader's language; see `PhraseBook.said`."""
    return BOOK.said(text, language)


def coded(code: str, language: Language) -> str:
    """A code with its name before it where the language has one: `数据流过期（stream_stale）`."""
    name = said(code, language)
    return code if name == code else f"{name}（{code}）"


__all__ = ["BOOK", "LABELS", "TERMINAL", "Phrase", "coded", "said"]
