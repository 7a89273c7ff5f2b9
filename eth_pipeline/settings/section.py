"""What every section of the settings is: frozen, and closed to names it does not know.

Belongs here: that base. Does not belong: any knob.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One noun of the configuration; its fields are documented in docs/settings.md."""

    # No infinite limit is meant, and a refusal must not show what was refused: it may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
