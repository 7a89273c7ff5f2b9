"""Templates of the package and the way figures and words are written in them.

Belongs here: the environment of each language, filters. Does not belong: which figures (`web.pages`), the words
(`contracts.wording`), their look (static/board.css). Everything is escaped; a name that a template mistypes is an error
and not a blank. `say` is a label, named by its English text; the filter `said` says a recorded text, `coded` a code.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from eth_pipeline.board.reading.standing import duration
from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.contracts.wording import LABELS, coded, said
from eth_pipeline.contracts.wording.lineage import fact_name, step_name
from eth_pipeline.settings import Language

LANGUAGE = "language"
"""Where the scope of a request holds the language of the pages."""
HTML_LANGUAGES: MappingProxyType[Language, str] = MappingProxyType({"en": "en", "zh": "zh-CN"})
STATIC_FOLDER = Path(__file__).parent / "static"
NOTHING = "–"


def page(
    request: Request,
    name: str,
    values: Mapping[str, object],
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A template, filled with `values`, as an answer in the language that the door gave the request."""
    made = _environment(request.scope[LANGUAGE]).get_template(name)
    return HTMLResponse(made.render(values), status_code, dict(headers or {}))


def figure(value: object) -> str:
    """Any fact of a record for people: numbers to six digits, instants in UTC, the rest as it is."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {figure(item)}" for name, item in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(figure(item) for item in value) or NOTHING
    return str(value)


def moment(instant: datetime | str | None) -> str:
    """`2025-06-29 12:00 UTC`, also of an instant that a figure holds as text."""
    if isinstance(instant, str):
        instant = parse_instant(instant)
    return NOTHING if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"


def share(value: float | None, *, digits: int = 1) -> str:
    """`12.3 %`."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %".replace("-", "−")


def number(value: float | None, *, digits: int = 2) -> str:
    """`10,234.50`."""
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, *, digits: int = 1) -> str:
    """`+12.3`, `−4.0`."""
    return NOTHING if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def _digest_of_static() -> str:
    """Changes with the files, so that a browser never pairs a new page with an old style sheet."""
    content = b"".join(path.read_bytes() for path in sorted(STATIC_FOLDER.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]


@cache
def _environment(language: Language) -> Environment:
    made = Environment(
        loader=PackageLoader("eth_pipeline.board.showing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name.__name__: name for name in (iso, moment, number, share, signed)}
    made.filters |= {
        "coded": partial(coded, language=language),
        "duration": lambda span: said(duration(span), language),
        "figure": lambda value: said(figure(value), language) if isinstance(value, bool) else figure(value),
        "said": partial(said, language=language),
        "step_name": partial(step_name, language=language),
        "fact_name": partial(fact_name, language=language),
    }
    made.globals |= {
        "html_language": HTML_LANGUAGES[language],
        "say": partial(_say, language),
        "static_version": _digest_of_static(),
    }
    return made


def _say(language: Language, english: str, /, **values: object) -> str:
    return LABELS[english].say(language, **values)
