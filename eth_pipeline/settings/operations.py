"""Settings of operation: alerts, and how long the instance remembers.

Belongs here: what is told, when and to whom; retention. Does not belong: the board (`board`).
"""

from pathlib import Path

from pydantic import Field

from eth_pipeline.settings.section import Section


class AlertSettings(Section):
    """What is told, to whom and when; docs/operations.md has a section per alert."""

    targets_file: Path | None = Field(
        None, description="File of Apprise URLs, one per line, mode 600; empty means nobody is told."
    )
    hold_off_minutes: float = Field(5.0, ge=0, description="A condition must last this long before it is told.")
    calm_minutes: float = Field(10.0, ge=0, description="A condition must be gone this long before it is over.")
    stale_streak_hours: int = Field(3, ge=1, description="Consecutive hours with a stale stream that are told.")
    ml_silent_hours: int = Field(3, ge=1, description="Consecutive hours without a forecast that are told.")
    always_hold_hours: int = Field(72, ge=1, description="Consecutive hours of HOLD that are told.")
    min_free_gigabytes: float = Field(5.0, gt=0, description="Less free space than this on a disk we write is told.")
    deadman_grace_minutes: float = Field(
        15.0, ge=0, description="Patience beyond the hour that a record may be late before silence is told."
    )


class RetentionSettings(Section):
    """How long the Dagster instance remembers; dagster.yaml has the retention of ticks."""

    runs_days: int = Field(
        90, ge=7, description="Older runs go; not those that a promotion or an asset's newest state rests on."
    )
