"""Which configuration ran when: every expanded configuration by digest, and the list of changes.

Belongs here: storing and comparing. Does not belong: reading settings (`settings`), when it is called.

    <home>/config/<digest>.json     the whole configuration, secrets masked
    <home>/config/history.jsonl     one line per change: when, which, who, where, by which command

A configuration that is the same as the one before adds nothing, so the hourly run may record it every hour.
"""

import getpass
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.clock import iso
from eth_pipeline.errors import NeedsHuman
from eth_pipeline.registry.atomic import exclusive, replace_text
from eth_pipeline.settings import Settings

FOLDER = "config"
HISTORY = "history.jsonl"


@dataclass(frozen=True)
class ConfigChange:
    """A configuration came into use; `at` is host time in ISO 8601."""

    at: str
    digest: str
    user: str
    host: str
    command: str
    commit: str


@dataclass(frozen=True)
class Difference:
    """One setting that two configurations disagree about; None where one does not know it."""

    setting: str
    before: object
    after: object


def record_configuration(settings: Settings, *, now: datetime, command: str, commit: str) -> ConfigChange | None:
    """Note the configuration in use; returns the change, or None where it is the one noted last.

    Args:
        settings: as the process runs with them.
        now: host time.
        command: what is being run, for people.
        commit: of the running code.
    """
    folder, digest = settings.home / FOLDER, settings.digest()
    with exclusive(folder / ".lock"):
        newest = config_history(settings.home)
        if newest and newest[-1].digest == digest:
            return None
        change = ConfigChange(iso(now), digest, _user(), platform.node(), command, commit)
        text = json.dumps(settings.masked(), indent=2, sort_keys=True)
        replace_text(folder / f"{digest}.json", text + "\n")
        _append(folder / HISTORY, json.dumps(asdict(change)))
    return change


def config_history(home: Path) -> tuple[ConfigChange, ...]:
    """Every change, oldest first; a line torn by a crash is left out."""
    path = home / FOLDER / HISTORY
    if not path.exists():
        return ()
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(ConfigChange(**json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            continue
    return tuple(found)


def stored_configuration(home: Path, digest: str) -> dict[str, Any]:
    """The configuration that `digest`, or the beginning of it, names.

    Raises:
        NeedsHuman: none or several have this name, or the file is damaged.
    """
    found = sorted((home / FOLDER).glob(f"{digest}*.json")) if digest.isalnum() else []
    if len(found) != 1:
        raise NeedsHuman(
            f"{len(found)} stored configurations are named {digest!r}. List them with `eth-pipeline config history`."
        )
    try:
        configuration: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NeedsHuman(
            f"{found[0]} cannot be read as JSON: {error}. Its configuration is lost; compare with another one."
        ) from error
    return configuration


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> tuple[Difference, ...]:
    """Settings in which two configurations differ, by dotted name."""
    found: list[Difference] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, prefix=f"{prefix}{name}.")
        elif old != new:
            found.append(Difference(f"{prefix}{name}", old, new))
    return tuple(found)


def _append(path: Path, line: str) -> None:
    """Add a line; a line torn by a crash is ended first, so that it costs itself only."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as stream:
        stream.write(("\n" if torn else "") + line + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:
        return f"uid {os.getuid()}"  # a container's user needs no name
