"""Files that a person writes and names to a command: plans, secrets.

Belongs here: reading them as text or YAML, with one kind of refusal. Does not belong: what must be in them (the
readers' models), files that this package writes itself, the configuration (`settings.instance`).
"""

from pathlib import Path
from typing import Any

from eth_pipeline.errors import SettingsInvalid


def read_operator_text(path: Path, *, what: str, remedy: str) -> str:
    """The text in `path`.

    Args:
        path: the file.
        what: begins the refusal: "The plan".
        remedy: ends it, a sentence: "Name another with --plan."

    Raises:
        SettingsInvalid: it cannot be opened, or is no text in UTF-8. The content is never shown.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(f"{what} {path} cannot be read: {error.strerror}. {remedy}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(
            f"{what} {path} cannot be read: from byte {error.start + 1} on it is no text in UTF-8. Save it in that "
            f"encoding. {remedy}"
        ) from None  # the decoding error carries the content


def read_operator_yaml(path: Path, *, what: str, remedy: str) -> Any:
    """What the YAML in `path` says; arguments as `read_operator_text`.

    Raises:
        SettingsInvalid: it cannot be read, or is no YAML.
    """
    import yaml

    text = read_operator_text(path, what=what, remedy=remedy)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date
        raise SettingsInvalid(f"{what} {path} is no YAML: {error}. Correct it.") from error
