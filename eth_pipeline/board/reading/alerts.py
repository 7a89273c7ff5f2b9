"""The alerts of this home, read beside the processes that write them.

Belongs here: what is raised, what was told, what waits for delivery. Does not belong: rules, delivery.
`AlertBook` opens its file for writing and creates it; the board must do neither, so it asks the same questions itself.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eth_pipeline.board.reading.sqlite_view import looking_into
from eth_pipeline.operations.alerting.book import FILE

_RAISED = (
    "SELECT kind, subject, text, severity, raised_at FROM conditions WHERE raised_at IS NOT NULL ORDER BY raised_at"
)
_TOLD = (
    "SELECT created_at, title, body, severity, MIN(delivered_at IS NOT NULL) FROM messages "
    "GROUP BY created_at, title, body, severity ORDER BY MAX(number) DESC LIMIT ?"
)
_WAITING = "SELECT COUNT(*) FROM messages WHERE delivered_at IS NULL"


@dataclass(frozen=True)
class RaisedAlert:
    """Something that is wrong now and was told."""

    kind: str
    subject: str
    text: str
    severity: str
    raised_at: datetime


@dataclass(frozen=True)
class ToldMessage:
    """A message of the past; `delivered` once every target took it."""

    at: datetime
    title: str
    body: str
    severity: str
    delivered: bool


@dataclass(frozen=True)
class Alerts:
    """What the book holds; `kept` is False where no process has opened one yet."""

    kept: bool
    raised: tuple[RaisedAlert, ...] = ()
    told: tuple[ToldMessage, ...] = ()
    undelivered: int = 0


def read_alerts(home: Path, *, newest: int) -> Alerts:
    """The alerts of a home, `newest` messages of the past.

    Raises:
        sqlite3.Error: the book is no database or of another version.
    """
    with looking_into(home / FILE) as db:
        if db is None:
            return Alerts(kept=False)
        raised = db.execute(_RAISED).fetchall()
        told = db.execute(_TOLD, (newest,)).fetchall()
        (waiting,) = db.execute(_WAITING).fetchone()
    return Alerts(
        kept=True,
        raised=tuple(
            RaisedAlert(kind, subject, text, severity, _instant(at)) for kind, subject, text, severity, at in raised
        ),
        told=tuple(
            ToldMessage(_instant(at), title, body, severity, bool(done)) for at, title, body, severity, done in told
        ),
        undelivered=int(waiting),
    )


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
