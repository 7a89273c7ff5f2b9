"""What was wrong and is, and which messages are still to be delivered: one SQLite file that survives restarts.

Belongs here: the state machine of a condition, the queue. Does not belong: rules, delivery.

    absent --reported--> pending --reported for the hold-off--> raised --not reported for the calm--> absent
                            |                                     |
                            not reported: forgotten               one message when raised, one when over

A condition that flickers is one alert: it is over only after the calm. An event is told once, by its identity, for
ever. Every message is kept per target until that target took it; a target that is down for hours gets everything
when it is back, and holds up no other target. Nothing is dropped and nothing switches the alerts off.

What is kept is English; `delivery` and whoever shows it say it in the language of the settings.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eth_pipeline.contracts.alert import Severity
from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.wording.alerts import OVER
from eth_pipeline.contracts.wording.alerts import body as body_of
from eth_pipeline.operations.alerting.kinds import Condition, Happening, Message
from eth_pipeline.settings import Settings

FILE = "alerts.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS conditions (
    kind TEXT, subject TEXT, since REAL, last_seen REAL, raised_at REAL, severity TEXT, text TEXT,
    PRIMARY KEY (kind, subject));
CREATE TABLE IF NOT EXISTS happened (kind TEXT, identity TEXT, at REAL, PRIMARY KEY (kind, identity));
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, created_at REAL, kind TEXT, title TEXT, body TEXT, severity TEXT,
    target INTEGER, attempts INTEGER DEFAULT 0, next_attempt_at REAL, delivered_at REAL, problem TEXT);
CREATE INDEX IF NOT EXISTS waiting ON messages (delivered_at, next_attempt_at);
"""
_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(minutes=15)


class AlertBook:
    """The alerts of one home.

    Args:
        home: where the file lives.
        targets: how many places a message goes to; each has its own queue.
        hold_off: a condition must last this long before it is told.
        calm: and be gone this long before it counts as over.
    """

    def __init__(self, home: Path, *, targets: int, hold_off: timedelta, calm: timedelta) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(home / FILE, timeout=30, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)
        self._targets, self._hold_off, self._calm = targets, hold_off, calm

    def observe(self, conditions: Sequence[Condition], *, now: datetime, judged: frozenset[str] | None = None) -> None:
        """Take note of everything that is wrong now; what is missing from the list is no longer wrong.

        Args:
            conditions: all that hold at `now`.
            now: host time.
            judged: kinds that were looked at; conditions of other kinds stay as they are. None means all: a rule
                that could not be evaluated must not look like recovery.
        """
        at = now.timestamp()
        with self._transaction() as db:
            for condition in conditions:
                self._saw(db, condition, at)
            present = {(str(c.kind), c.subject) for c in conditions}
            for kind, subject, last_seen, raised_at, text in db.execute(
                "SELECT kind, subject, last_seen, raised_at, text FROM conditions"
            ).fetchall():
                if (kind, subject) in present or (judged is not None and kind not in judged):
                    continue
                if raised_at is not None and at - last_seen < self._calm.total_seconds():
                    continue
                db.execute("DELETE FROM conditions WHERE kind = ? AND subject = ?", (kind, subject))
                if raised_at is not None:
                    lasted = timedelta(seconds=round(last_seen - raised_at))
                    end = iso(datetime.fromtimestamp(last_seen, UTC))
                    body = OVER(end=end, lasted=lasted, text=text)
                    self._queue(db, kind, f"over: {kind} {subject}", body, "info", at)

    def happened(self, events: Sequence[Happening], *, now: datetime) -> int:
        """Tell events that were not told yet; returns how many were new."""
        new = 0
        with self._transaction() as db:
            for event in events:
                known = "INSERT OR IGNORE INTO happened VALUES (?, ?, ?)"
                if db.execute(known, (str(event.kind), event.identity, now.timestamp())).rowcount:
                    new += 1
                    self._queue(
                        db,
                        str(event.kind),
                        str(event.kind),
                        body_of(event.kind, event.text),
                        event.severity,
                        now.timestamp(),
                    )
        return new

    def waiting(self, *, now: datetime) -> tuple[Message, ...]:
        """Messages that are due at `now`, oldest first."""
        rows = self._connection.execute(
            "SELECT number, title, body, severity, target, attempts FROM messages "
            "WHERE delivered_at IS NULL AND next_attempt_at <= ? AND target < ? ORDER BY number",
            (now.timestamp(), self._targets),
        )
        return tuple(Message(*row) for row in rows.fetchall())

    def claim(self, message: Message, *, now: datetime) -> bool:
        """Reserve a message before sending it, so that two senders at once send it once.

        It becomes due again after the retry time, whether the sender succeeds, fails or dies; `delivered` ends it.
        """
        wait = min(_FIRST_RETRY * 2 ** min(message.attempts, 10), _LONGEST_RETRY)
        claimed = self._connection.execute(
            "UPDATE messages SET attempts = attempts + 1, next_attempt_at = ? "
            "WHERE number = ? AND attempts = ? AND delivered_at IS NULL",
            ((now + wait).timestamp(), message.number, message.attempts),
        )
        return claimed.rowcount == 1

    def delivered(self, message: Message, *, now: datetime) -> None:
        """The target took it."""
        self._connection.execute(
            "UPDATE messages SET delivered_at = ?, problem = NULL WHERE number = ?", (now.timestamp(), message.number)
        )

    def refused(self, message: Message, *, problem: str) -> None:
        """The target did not take it; it stays in the queue."""
        self._connection.execute("UPDATE messages SET problem = ? WHERE number = ?", (problem[:500], message.number))

    def raised(self) -> tuple[tuple[Condition, datetime], ...]:
        """What is wrong and was told, with the instant at which it was, oldest first."""
        rows = self._connection.execute(
            "SELECT kind, subject, text, severity, raised_at FROM conditions "
            "WHERE raised_at IS NOT NULL ORDER BY raised_at"
        ).fetchall()
        return tuple((Condition(*row[:4]), datetime.fromtimestamp(row[4], UTC)) for row in rows)

    def history(self, *, newest: int = 50) -> tuple[tuple[datetime, str, str, bool], ...]:
        """The newest messages: when, title, body, delivered everywhere; newest first."""
        rows = self._connection.execute(
            "SELECT created_at, title, body, MIN(delivered_at IS NOT NULL) FROM messages "
            "GROUP BY created_at, title, body ORDER BY MAX(number) DESC LIMIT ?",
            (newest,),
        ).fetchall()
        return tuple((datetime.fromtimestamp(at, UTC), title, body, bool(done)) for at, title, body, done in rows)

    def undelivered(self) -> int:
        """Messages that some target has not taken yet."""
        (count,) = self._connection.execute("SELECT COUNT(*) FROM messages WHERE delivered_at IS NULL").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _saw(self, db: sqlite3.Connection, condition: Condition, at: float) -> None:
        name = (str(condition.kind), condition.subject)
        found = db.execute("SELECT since, raised_at FROM conditions WHERE kind = ? AND subject = ?", name).fetchone()
        since, raised_at = found or (at, None)
        if raised_at is None and at - since >= self._hold_off.total_seconds():
            raised_at = at
            text = body_of(condition.kind, condition.text)
            self._queue(db, name[0], f"{name[0]}: {name[1]}", text, condition.severity, at)
        db.execute(
            "INSERT OR REPLACE INTO conditions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*name, since, at, raised_at, condition.severity, condition.text),
        )

    def _queue(self, db: sqlite3.Connection, kind: str, title: str, body: str, severity: Severity, at: float) -> None:
        rows = [(at, kind, title, body, severity, target, at) for target in range(max(self._targets, 1))]
        db.executemany(
            "INSERT INTO messages (created_at, kind, title, body, severity, target, next_attempt_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


@contextmanager
def open_book(settings: Settings, *, targets: int, hold_off: timedelta | None = None) -> Iterator[AlertBook]:
    """The book of a home, closed on the way out.

    Args:
        settings: of the home.
        targets: as `AlertBook`.
        hold_off: None takes it from the settings.
    """
    limits = settings.alerts
    patience = timedelta(minutes=limits.hold_off_minutes) if hold_off is None else hold_off
    calm = timedelta(minutes=limits.calm_minutes)
    book = AlertBook(settings.home, targets=targets, hold_off=patience, calm=calm)
    try:
        yield book
    finally:
        book.close()
