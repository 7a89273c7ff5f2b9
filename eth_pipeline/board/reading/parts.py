"""A part of the board that may be unreadable without taking the rest with it.

Belongs here: the value and the error. Does not belong: reading anything.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl
from deltalake.exceptions import DeltaError
from pydantic import ValidationError

from eth_pipeline.errors import EthPipelineError, NeedsHuman

T = TypeVar("T")

_UNREADABLE = (
    *(EthPipelineError, ValidationError, DeltaError, OSError, sqlite3.Error, ValueError, KeyError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),  # a torn parquet file is a panic
)
"""What reading files raises that are damaged, gone, of another version or being written."""


class PartUnreadable(NeedsHuman):
    """One part of what the board shows cannot be read now; the message says which and why."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """Something that was read, or why it could not be; exactly one of the two is None."""

    value: T | None = None
    problem: str | None = None


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever breaks while reading becomes one error that names the part.

    Raises:
        PartUnreadable: it broke.
    """
    try:
        yield
    except PartUnreadable:
        raise
    except _UNREADABLE as error:
        lines = str(error).strip().splitlines() or ["no message"]
        raise PartUnreadable(f"{name} cannot be read: {type(error).__name__}: {lines[0]}") from error


def attempt(question: Callable[[], T]) -> Part[T]:
    """The answer, or the reason why there is none."""
    try:
        return Part(value=question())
    except PartUnreadable as error:
        return Part(problem=str(error))
