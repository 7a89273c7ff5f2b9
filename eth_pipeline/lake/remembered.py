"""Rows that were read from an exact version of a table, remembered for whoever asks the same again.

Belongs here: what is remembered and for how long. Does not belong: reading (`tables`). Rows of a version never change,
so an answer from here is what the files would say; a table that got a new version is read.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from eth_pipeline.lake.handles import Identity

_ANSWERS = 48
_LARGEST_BYTES = 2**20


class Question(NamedTuple):
    """What was asked: a table at a version, rows and columns of it."""

    uri: str
    identity: Identity
    rows: bytes
    columns: tuple[str, ...]
    is_ordered: bool


class Remembered:
    """Answers of the newest questions, small ones only."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Question, pl.DataFrame] = OrderedDict()

    def answer(self, question: Question | None, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """What is remembered, else what `read` returns; None is a question that cannot be remembered."""
        if question is None:
            return read()
        found = self._answers.pop(question, None)
        if found is None:
            found = read()
        if found.estimated_size() <= _LARGEST_BYTES:
            self._answers[question] = found
        while len(self._answers) > _ANSWERS:
            self._answers.popitem(last=False)
        return found.clone()  # columns added by one reader are not the next one's


def as_bytes(where: pl.Expr | None) -> bytes | None:
    """A predicate as something to compare; None where polars cannot write it down."""
    if where is None:
        return b""
    try:
        return where.meta.serialize()
    except (pl.exceptions.PolarsError, ValueError, TypeError):
        return None
