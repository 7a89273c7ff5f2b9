"""Which processes of a home run, since when, and whether they run what lies here now.

Belongs here: the note that a start leaves behind, and comparing the notes with the processes of this host and with
the code, the configuration and the bundle of now. Does not belong: starting and stopping (`cli.processes`,
`cli.start`), what a manifest holds (`manifest`).

    <home>/processes/<name>.json    one note per name; the next start of that name replaces it

A note names its process by pid and creation time, so a pid that was given out again is nobody's. What a process runs
is what lay here when it started. Code, configuration and bundle are compared by digest and not by time: an embedded
exchange lives at another date, and a checkout can also go back.
"""

import json
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.contracts.clock import iso
from eth_pipeline.contracts.decision_tables import SIGNALS
from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.contracts.wording import processes as wording
from eth_pipeline.errors import ContractViolation
from eth_pipeline.lake import Lake
from eth_pipeline.operations.manifest import (
    CodeVersion,
    Manifest,
    code_on_disk,
    code_version,
    collect_manifest,
    table_versions,
)
from eth_pipeline.registry.atomic import replace_text
from eth_pipeline.registry.promotions.production import pointer_or_none
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import Settings

FOLDER = "processes"
# Two processes of one host may read creation times a second or so apart; a pid does not come around within seconds.
_SAME_CREATION = timedelta(seconds=5)
_MOVES = ("promoted", "rolled_back", "adopted")


class ProcessNote(BaseModel):
    """What a process started with. A note of an older version has fewer fields and is still read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern="^[a-z0-9-]+$")
    pid: int
    created_at: AwareDatetime
    host: str
    commit: str = "unknown"
    dirty: bool = False
    files_digest: str = ""
    config_digest: str = ""
    bundle_fingerprint: str | None = None


class ProcessState(StrEnum):
    """running: it is there. ended: it is not. elsewhere: another host wrote the note. unreadable: nobody can say."""

    RUNNING = "running"
    ENDED = "ended"
    ELSEWHERE = "elsewhere"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Present:
    """What a process started now would run.

    Attributes:
        bundle_promoted_at: exchange time at which the bundle in use was promoted; None where the log does not say.
    """

    code: CodeVersion
    config_digest: str
    bundle_fingerprint: str | None
    bundle_promoted_at: datetime | None


@dataclass(frozen=True)
class ProcessStatus:
    """One process against the present.

    Attributes:
        same_code, same_configuration, same_bundle: as at its start; None where there is no running process.
        statement: a sentence for people.
    """

    name: str
    state: ProcessState
    statement: str
    pid: int | None = None
    started_at: datetime | None = None
    commit: str | None = None
    dirty: bool | None = None
    same_code: bool | None = None
    same_configuration: bool | None = None
    same_bundle: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """JSON types."""
        return asdict(self) | {"started_at": iso(self.started_at) if self.started_at else None}


def start_manifest(settings: Settings, *, now: datetime) -> Manifest:
    """The manifest at a start; a lake that cannot be read, or lies in a store, must not hinder it.

    Args:
        settings: of the home.
        now: host time.
    """
    provenance, versions = "not asked", {}
    if "://" not in settings.lake_location:
        try:
            lake = Lake.of(settings)
            provenance = lake.provenance(KLINES)
            versions = table_versions(lake, (*STREAMS.values(), SIGNALS))
        except Exception as error:  # damaged tables raise all kinds, and each is what there is to say
            provenance = f"unreadable: {type(error).__name__}"
    used = pointer_or_none(settings.home)
    return collect_manifest(
        settings,
        now=now,
        provenance=provenance,
        versions=versions,
        bundle_fingerprint=used.fingerprint if used else None,
        model_version=used.version if used else None,
    )


def note_start(settings: Settings, *, name: str, pid: int, now: datetime) -> str:
    """Leave the note of a process that starts; returns the line for its log, which holds the manifest.

    Args:
        settings: as the process gets them.
        name: what it is called here.
        pid: of a process that is there.
        now: host time.

    Raises:
        psutil.NoSuchProcess: it is not.
        pydantic.ValidationError: the name is none.
    """
    manifest = start_manifest(settings, now=now)
    code = code_version()
    note = ProcessNote(
        name=name,
        pid=pid,
        created_at=_created_at(pid),
        host=platform.node(),
        commit=code.commit,
        dirty=code.dirty,
        files_digest=code.files_digest,
        config_digest=manifest.config_digest,
        bundle_fingerprint=manifest.bundle_fingerprint,
    )
    replace_text(settings.home / FOLDER / f"{name}.json", note.model_dump_json(indent=2) + "\n")
    line = {"level": "START", "time": iso(now), "process": name, "runtime_manifest": manifest.as_dict()}
    return json.dumps(line, allow_nan=False)


def present(settings: Settings) -> Present:
    """What lies here now; asks git and reads every file of the package."""
    used = pointer_or_none(settings.home)
    fingerprint = used.fingerprint if used else None
    return Present(
        code=code_on_disk(),
        config_digest=settings.digest(),
        bundle_fingerprint=fingerprint,
        bundle_promoted_at=_promoted_at(settings.home, fingerprint),
    )


def process_statuses(settings: Settings) -> tuple[ProcessStatus, ...]:
    """Every process that left a note in this home, by name, against what lies here now."""
    notes = sorted((settings.home / FOLDER).glob("[!.]*.json"))
    if not notes:
        return ()
    here = present(settings)
    return tuple(_status(path, here) for path in notes)


def _promoted_at(home: Path, fingerprint: str | None) -> datetime | None:
    try:
        entries = PromotionLog.of(home).entries()
    except ContractViolation:  # the health check and an alert say so; here it is a time that is not known
        return None
    moves = [entry.at for entry in entries if entry.fingerprint == fingerprint and entry.action in _MOVES]
    return moves[-1] if moves else None


def _status(path: Path, here: Present) -> ProcessStatus:
    try:
        note = ProcessNote.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        text = wording.UNREADABLE(error=type(error).__name__)
        return ProcessStatus(path.stem, ProcessState.UNREADABLE, text)
    if note.host != platform.node():
        return _told(note, ProcessState.ELSEWHERE, wording.ELSEWHERE(host=note.host))
    if not _is_alive(note):
        return _told(note, ProcessState.ENDED, wording.ENDED())
    return replace(
        _told(note, ProcessState.RUNNING, _statement(note, here)),
        same_code=note.files_digest == here.code.files_digest,
        same_configuration=note.config_digest == here.config_digest,
        same_bundle=note.bundle_fingerprint == here.bundle_fingerprint,
    )


def _told(note: ProcessNote, state: ProcessState, statement: str) -> ProcessStatus:
    return ProcessStatus(note.name, state, statement, note.pid, note.created_at, note.commit, note.dirty)


def _statement(note: ProcessNote, here: Present) -> str:
    found = []
    if note.files_digest != here.code.files_digest:
        if note.commit == here.code.commit:
            found.append(wording.CODE_CHANGED())
        else:
            found.append(wording.OTHER_COMMIT(running=note.commit[:12], here=here.code.commit[:12]))
    if note.config_digest != here.config_digest:
        found.append(wording.OTHER_CONFIGURATION(running=note.config_digest[:12], here=here.config_digest[:12]))
    if note.bundle_fingerprint != here.bundle_fingerprint:
        name, since = (here.bundle_fingerprint or "none")[:12], here.bundle_promoted_at
        promoted = wording.OLDER_THAN_PROMOTION(name=name, time=iso(since)) if since else None
        found.append(promoted or wording.OLDER_THAN_BUNDLE(name=name))
    return "; ".join(found) or wording.RUNS_WHAT_LIES_HERE()


def _is_alive(note: ProcessNote) -> bool:
    try:
        if psutil.Process(note.pid).status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_created_at(note.pid) - note.created_at) <= _SAME_CREATION
    except psutil.Error:
        return False


def _created_at(pid: int) -> datetime:
    return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
