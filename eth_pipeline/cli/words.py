"""The words of a terminal table in the language of the settings.

Belongs here: choosing. Does not belong: the words (`contracts.wording.terminal`), layout (`tables`).
"""

from collections.abc import Callable

from eth_pipeline.contracts.wording import TERMINAL
from eth_pipeline.settings import Language


def terminal(language: Language) -> Callable[..., str]:
    """A function from the English text of a label to the label, filled in."""
    return lambda english, /, **values: TERMINAL[english].say(language, **values)
