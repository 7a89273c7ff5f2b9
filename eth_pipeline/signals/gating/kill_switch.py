"""The kill switch: a file below the home; while it exists every hour is blocked.

Belongs here: pulling, releasing, reading it. A stream with the policy `halt` pulls it when it is stale: such a stream
needs a human before anything opens again, also after its data came back.
"""

from collections.abc import Iterable
from pathlib import Path

from eth_pipeline.contracts.signal import StreamFreshness
from eth_pipeline.contracts.wording.details import HALTED, NO_REASON_GIVEN

_NAME = "kill_switch"


def why(home: Path) -> str | None:
    """The reason it was pulled for; None while it is off."""
    try:
        return (home / _NAME).read_text(encoding="utf-8", errors="replace").strip() or NO_REASON_GIVEN()
    except FileNotFoundError:
        return None


def pull(home: Path, *, reason: str) -> None:
    """Switch it on; the first reason stays."""
    home.mkdir(parents=True, exist_ok=True)
    if why(home) is None:
        draft = home / f"{_NAME}.part"
        draft.write_text(reason + "\n", encoding="utf-8", errors="replace")
        draft.replace(home / _NAME)


def release(home: Path) -> bool:
    """Switch it off; False when it was not on."""
    was_on = (home / _NAME).exists()
    (home / _NAME).unlink(missing_ok=True)
    return was_on


def halted(freshness: Iterable[StreamFreshness]) -> str | None:
    """Why the streams of the policy `halt` demand a stop; None where they do not."""
    stale = [row for row in freshness if row.stale_policy == "halt" and not row.fresh]
    if not stale:
        return None
    names = ", ".join(f"{row.stream} {row.symbol}" for row in stale)
    return HALTED(names=names)
