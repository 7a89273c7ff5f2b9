"""The closed list of alerts and how loud they are.

Belongs here: kinds. Does not belong: noticing, remembering, telling (`operations.alerting`), the words (`wording`).
"""

from enum import StrEnum
from typing import Literal

Severity = Literal["info", "warning", "failure"]


class AlertKind(StrEnum):
    """Every alert; docs/operations.md has a section of each, with what to do."""

    STALE_STREAK = "stale_streak"
    ML_SILENT = "ml_silent"
    EXCHANGE_FAILING = "exchange_failing"
    ALWAYS_HOLD = "always_hold"
    STATE_CHANGED = "state_changed"
    RUN_FAILED = "run_failed"
    CHECK_FAILED = "check_failed"
    PROMOTION = "promotion"
    ALIAS_MOVED = "alias_moved"
    DRIFT = "drift"
    DISK_LOW = "disk_low"
    SIGNAL_OVERDUE = "signal_overdue"
    RULE_BROKEN = "rule_broken"
