"""Settings of the board.

Belongs here: who may look, how often a page asks. Does not belong: what a page shows.
"""

from pathlib import Path

from pydantic import Field

from eth_pipeline.settings.section import Section


class BoardSettings(Section):
    """The read-only board: who may look, and from when on its newest signal counts as overdue."""

    token_file: Path | None = Field(
        None, description="File that holds the token of pages and API; empty means only this machine may look."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names, without port, by which a proxy or a browser may address the board."
    )
    overdue_after_minutes: float = Field(
        10.0, ge=0, lt=60, description="An hour without a record this long after it began is overdue."
    )
    refresh_seconds: int = Field(30, ge=5, description="How often an open page asks for new figures.")
    session_hours: float = Field(12.0, gt=0, description="A login in a browser lasts this long.")
    login_attempts_per_minute: int = Field(10, ge=1, description="Wrong tokens before the login form refuses to look.")
