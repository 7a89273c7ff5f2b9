"""How far somebody has seen the promotion log: number and digest of its newest entry, as one text.

Belongs here: the value, which the registry's tag and this host's pointer keep. Does not belong: the log and what its
entries say (`promotions.promotion_log`, `promotions.log_state`).
"""

import re
from typing import NamedTuple

from eth_pipeline.errors import ContractViolation

_HEAD = re.compile(r"(\d+):([0-9a-f]{64})")


class LogHead(NamedTuple):
    """The newest entry that somebody else has seen: a log without it was cut or belongs to another home."""

    sequence: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> "LogHead":
        """Read what `str` wrote.

        Raises:
            ContractViolation: `text` was edited.
        """
        found = _HEAD.fullmatch(text)
        if found is None:
            raise ContractViolation(
                f"The anchor of the promotion log is {text!r}, which nothing here wrote. Compare the log with its "
                "backup, then delete the tag; the next command sets it again."
            )
        return cls(int(found[1]), found[2])
