"""What every section of the settings is: frozen, and closed to names it does not know.

Belongs here: that base. Does not belong: any knob.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One noun of the configuration; its fields are documented in docs/settings.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")
