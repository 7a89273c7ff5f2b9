"""The append-only promotion log: what was promoted, refused or rolled back, chained by hashes.

Belongs here: appending and proving the chain. Does not belong: deciding (`decision`) or moving aliases.

One JSON line per entry. Each entry holds the sha256 of the line before it and of itself, so an edited, removed or
reordered line breaks the chain at a line that can be named. A cut at the end leaves a shorter, intact chain: that
is noticed because the registry and this host's pointer remember the newest entry they saw (`log_state`).

The log is also the write-ahead record: an intent (`promoting`, `refusing`) stands before anything is registered, its
outcome (`promoted`, `refused`, or `abandoned` when the writer died) before any alias moves. `rolled_back` is a move
by command, `adopted` one by hand in the registry to a version that verified.
"""

import hashlib
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import ContractViolation
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.settings import Phase

PromotionAction = Literal["promoting", "refusing", "promoted", "refused", "abandoned", "rolled_back", "adopted"]
GENESIS = "0" * 64
_FILE = "promotions.jsonl"


class PromotionEntry(BaseModel):
    """One line of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int
    at: AwareDatetime
    action: PromotionAction
    decision_id: str
    fingerprint: str
    version: str
    phase: Phase
    run_id: str
    reason: str
    previous_sha256: str
    sha256: str = ""

    def digest(self) -> str:
        """sha256 of everything but the digest itself."""
        content = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class PromotionLog:
    """The log in the file `path`; it is created with the first entry."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, home: Path) -> "PromotionLog":
        """The log of a home; it may not have begun."""
        return cls(home / _FILE)

    def append(
        self,
        *,
        decision: PromotionDecision,
        version: str,
        run_id: str,
        at: datetime,
        action: PromotionAction | None = None,
        reason: str | None = None,
    ) -> PromotionEntry:
        """Add one entry, on disk when this returns; other processes wait for their turn.

        Args:
            version: registry version that the entry is about.
            action: empty means what the decision says, promoted or refused.
            reason: empty means the summary of the decision.

        Raises:
            ContractViolation: the chain is already broken; nothing is added to a log that proves nothing.
        """
        with exclusive(self.path.with_name(f".{self.path.name}.lock")):
            return self._seal(
                {
                    "at": at,
                    "action": action or ("promoted" if decision.promoted else "refused"),
                    "decision_id": decision.decision_id,
                    "fingerprint": decision.candidate_fingerprint,
                    "version": version,
                    "phase": decision.phase,
                    "run_id": run_id,
                    "reason": reason or decision.summary,
                }
            )

    def conclude(
        self, intent: PromotionEntry, *, action: PromotionAction, version: str, at: datetime, reason: str | None = None
    ) -> PromotionEntry:
        """Add the outcome of `intent`, an entry about the same decision.

        Args:
            version: registry version that was made; empty where none was.
            reason: empty means the reason of the intent.

        Raises:
            ContractViolation: as `append`.
        """
        changes = {"action": action, "version": version, "at": at, "reason": reason or intent.reason}
        with exclusive(self.path.with_name(f".{self.path.name}.lock")):
            return self._seal(intent.model_dump(exclude={"sequence", "previous_sha256", "sha256"}) | changes)

    def entries(self) -> tuple[PromotionEntry, ...]:
        """All entries, oldest first, as they stand; `verify` proves them.

        Raises:
            ContractViolation: a line is no entry.
        """
        if not self.path.exists():
            return ()
        # A byte that is no UTF-8 is replaced, so that the chain names its line.
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        unfinished = lines.pop()
        if unfinished:
            raise self._broken(len(lines) + 1, "it was not written to its end, probably the writer was killed")
        return tuple(self._parse(line, number=number) for number, line in enumerate(lines, start=1))

    def verify(self) -> tuple[PromotionEntry, ...]:
        """Prove the chain from the first line on and return the entries.

        Raises:
            ContractViolation: naming the first line that does not fit.
        """
        entries = self.entries()
        previous = GENESIS
        for number, entry in enumerate(entries, start=1):
            if entry.sha256 != entry.digest():
                raise self._broken(number, "its content does not match its own sha256: it was edited")
            if entry.previous_sha256 != previous or entry.sequence != number:
                raise self._broken(number, "it does not continue the line before it: a line was removed or moved")
            previous = entry.sha256
        return entries

    def _seal(self, fields: dict[str, Any]) -> PromotionEntry:
        before = self.verify()
        chained = {"sequence": len(before) + 1, "previous_sha256": before[-1].sha256 if before else GENESIS}
        unsealed = PromotionEntry.model_validate(fields | chained)
        entry = unsealed.model_copy(update={"sha256": unsealed.digest()})
        self._write_line(entry.model_dump_json() + "\n")
        return entry

    def _parse(self, line: str, *, number: int) -> PromotionEntry:
        try:
            return PromotionEntry.model_validate_json(line)
        except ValidationError as error:
            raise self._broken(number, f"it is no entry ({error.error_count()} fields are wrong)") from error

    def _broken(self, number: int, why: str) -> ContractViolation:
        return ContractViolation(
            f"The promotion log {self.path} is broken at line {number}: {why}. Restore the file from its backup; "
            "nothing is promoted or rolled back until it proves itself."
        )

    def _write_line(self, line: str) -> None:
        """One write call: a killed process leaves the whole line or none."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
