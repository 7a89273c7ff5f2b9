"""A sentence in two languages, and the book that turns a written sentence into the reader's language.

Belongs here: filling in, reading back, looking up. Does not belong: the sentences, which are the other modules here.

Whatever is stored, logged or answered as JSON is English, written by the phrase itself. Where a person reads it, the
book finds the phrase that wrote it, reads what was filled in, and says the same in the language of the settings: so
old records, old messages and a log from another host follow the setting too. A text of no phrase (the words of an
operator, the message of another program) stays as it is.
"""

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from eth_pipeline.settings import Language

_NUMBER = r"[-+]?(?:[\d,]+(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)%?"
"""What a name with a format was filled in with; a name without one may be anything."""
_AS_IT_IS = "s"
_TEXT = ("", _AS_IT_IS, None)
_SHORT_ANCHOR = 5


@dataclass(frozen=True)
class Phrase:
    """One text in both languages; `{name}` stands for what is filled in.

    Attributes:
        en: English; a name may have the format of a number, `{age:.2f}`, or be said as it is, `{subject:s}`.
        zh: Chinese; the same names, without formats: it gets what the English text shows.

    Raises:
        ValueError: the two do not name the same, or a name occurs twice in the English text.
    """

    en: str
    zh: str

    def __post_init__(self) -> None:
        """Refuse what could not be read back."""
        english, chinese = _names(self.en), _names(self.zh)
        if len(set(english)) != len(english) or set(english) != set(chinese):
            raise ValueError(
                f"{self.en!r} fills in {english}, {self.zh!r} fills in {chinese}; name the same, each once."
            )

    def __call__(self, **values: object) -> str:
        """The English text, filled in: what is recorded."""
        return self.en.format(**values)

    def say(self, language: Language, /, **values: object) -> str:
        """The text in a language, filled in."""
        english = self(**values)
        if language == "en":
            return english
        shown = self.read(english)
        assert shown is not None, "a phrase reads what it wrote"
        return self.zh.format(**shown)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What is filled in, in the order of the English text."""
        return tuple(_names(self.en))

    @cached_property
    def anchor(self) -> str:
        """Its longest run of fixed English characters: a text without it was not written by this phrase."""
        return max((literal for literal, *_ in _parsed(self.en)), key=len)

    @cached_property
    def kept(self) -> frozenset[str]:
        """What is filled in as it is: names of symbols, assets, jobs, also where they are codes that have a name."""
        return frozenset(name for _, name, spec, _ in _parsed(self.en) if name and spec == _AS_IT_IS)

    @cached_property
    def fixed_length(self) -> int:
        """Characters of fixed text."""
        return sum(len(literal) for literal, *_ in _parsed(self.en))

    @cached_property
    def is_loose(self) -> bool:
        """True where its fixed text says so little that only what is filled in can tell whose sentence it is."""
        return len(self.anchor) < _SHORT_ANCHOR and all(spec in _TEXT for _, name, spec, _ in _parsed(self.en) if name)

    def read(self, text: str) -> Mapping[str, str] | None:
        """What was filled in; None where `text` was not written by this phrase."""
        found = self._pattern.fullmatch(text) if self.anchor in text else None
        return None if found is None else found.groupdict()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = [
            re.escape(literal) + (f"(?P<{name}>{_NUMBER if spec not in _TEXT else '.*?'})" if name else "")
            for literal, name, spec, _ in _parsed(self.en)
        ]
        return re.compile("".join(parts), re.DOTALL)


class PhraseBook:
    """Phrases to be found again by the English text that they wrote.

    Args:
        phrases: the longest fixed text is tried first, so that a special phrase wins over a general one.
        apart: says a text that is several sentences in a row, given what says each; leaves any other as it is. It is
            asked before the phrases: the first sentence must not swallow the rest.
    """

    def __init__(
        self, phrases: Iterable[Phrase], *, apart: Callable[[str, Callable[[str], str]], str] | None = None
    ) -> None:
        self.phrases = tuple(phrases)
        self._apart = apart or (lambda text, _: text)
        self._fixed = {phrase.en: phrase for phrase in self.phrases if not phrase.names}
        filled = [phrase for phrase in self.phrases if phrase.names]
        self._filled = sorted(filled, key=lambda phrase: (len(phrase.anchor), phrase.fixed_length), reverse=True)

    def said(self, text: str, language: Language) -> str:
        """`text` in `language`; as it is where no phrase wrote it."""
        if language == "en" or not text:
            return text
        if text in self._fixed:
            return self._fixed[text].zh
        if (shown := self._apart(text, lambda part: self.said(part, language))) != text:
            return shown
        for phrase in self._filled:
            if (values := phrase.read(text)) is None:
                continue
            inner = {
                name: value if name in phrase.kept else self.said(value, language) for name, value in values.items()
            }
            if phrase.is_loose and inner == values:
                continue  # somebody else's sentence that happens to have a semicolon
            return phrase.zh.format(**inner)
        return text


def phrases_of(module: ModuleType) -> Iterator[Phrase]:
    """Every phrase that a module names, alone, in a tuple or in a mapping."""
    for name, value in vars(module).items():
        if name.isupper():
            yield from _phrases(value)


def _phrases(value: object) -> Iterator[Phrase]:
    if isinstance(value, Phrase):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _phrases(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _phrases(item)


def _names(template: str) -> list[str]:
    return [name for _, name, *_ in _parsed(template) if name]


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    return list(string.Formatter().parse(template))
