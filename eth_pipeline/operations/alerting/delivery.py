"""Delivering messages through Apprise: webhook, Telegram, mail and some hundred others, each named by a URL.

Belongs here: reading the targets, one round of sending. Does not belong: what is sent (`book`), when (sensor,
dead-man's switch). The URLs hold tokens: they live in a file that only the operator reads, never in settings, logs
or the book.
"""

import logging
import stat
from datetime import datetime
from pathlib import Path

from eth_pipeline.contracts.wording import said
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.operations.alerting.book import AlertBook
from eth_pipeline.operations.alerting.kinds import Message
from eth_pipeline.settings import Language

_SEND_SECONDS = 10
_MOST_AT_ONCE = 50


def read_targets(path: Path | None) -> tuple[str, ...]:
    """Apprise URLs of a file, one per line; empty lines and lines that begin with # are left out.

    Raises:
        SettingsInvalid: the file is missing, readable by others, or a line is no URL that Apprise knows. The message
            never shows the URL.
    """
    if path is None:
        return ()
    if not path.is_file():
        raise SettingsInvalid(f"alerts.targets_file names {path}, which is no file. Create it, or unset the setting.")
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise SettingsInvalid(f"{path} holds tokens and others can read it. Run: chmod 600 {path}")
    import apprise

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{path} is no text in UTF-8. Write one Apprise URL per line.") from error
    targets = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        if apprise.Apprise.instantiate(line, suppress_exceptions=True) is None:
            raise SettingsInvalid(f"{path}, line {number} is no Apprise URL. See https://appriseit.com/services/.")
        targets.append(line)
    return tuple(targets)


def usable_targets(path: Path | None) -> tuple[tuple[str, ...], str | None]:
    """As `read_targets`, but no targets and the reason where the file cannot be used: watching must go on."""
    try:
        return read_targets(path), None
    except (SettingsInvalid, OSError) as error:
        return (), str(error)


def deliver(
    book: AlertBook, targets: tuple[str, ...], *, now: datetime, sender: str, language: Language
) -> tuple[int, int]:
    """Try messages that are due, oldest first; returns how many were delivered and how many were not.

    A target that fails is left alone for the rest of the round: a round of a sensor has a minute, and every message
    to a target that does not answer costs ten seconds of it.

    Args:
        book: the queue.
        targets: Apprise URLs, in the order of the file.
        now: host time.
        sender: put before every title, for example the host's name.
        language: of what is sent.
    """
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its warnings print the URL, with its token
    done = failed = 0
    down: set[int] = set()
    for message in book.waiting(now=now):
        if done >= _MOST_AT_ONCE:
            break
        if message.target in down or not book.claim(message, now=now):
            continue
        notifier = apprise.Apprise()
        notifier.add(targets[message.target])
        if _send(notifier, message, sender=sender, language=language):
            book.delivered(message, now=now)
            done += 1
        else:
            book.refused(
                message, problem=f"target {message.target + 1} did not take it at attempt {message.attempts + 1}"
            )
            down.add(message.target)
            failed += 1
    return done, failed


def send_directly(targets: tuple[str, ...], message: Message, *, sender: str, language: Language) -> tuple[bool, ...]:
    """Send one message to every target at once, without a queue; for each whether it took it.

    For a test of the targets, and for the day on which the book itself cannot be written.
    """
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    taken = []
    for target in targets:
        notifier = apprise.Apprise()
        notifier.add(target)
        taken.append(_send(notifier, message, sender=sender, language=language))
    return tuple(taken)


def _send(notifier: object, message: Message, *, sender: str, language: Language) -> bool:
    import apprise

    assert isinstance(notifier, apprise.Apprise)
    kind = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}.get(
        message.severity, apprise.NotifyType.FAILURE
    )
    try:
        return bool(
            notifier.notify(
                title=f"{sender}: {said(message.title, language)}",
                body=said(message.body, language),
                notify_type=kind,
                timeout=_SEND_SECONDS,
            )
        )
    except Exception:  # a hundred plugins with a hundred kinds of errors; the message stays queued
        return False
