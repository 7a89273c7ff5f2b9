"""The board's token: where it comes from.

Belongs here: reading it, and refusing what is none. Does not belong: where the board may listen without one
(`contracts.listening`), requests (`door`).
"""

import stat

from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import BoardSettings

MIN_TOKEN_CHARACTERS = 32


def read_token(settings: BoardSettings) -> str | None:
    """The token in `token_file`; None where no file is named. It is never shown.

    Raises:
        SettingsInvalid: the file is missing, others can read it, or it holds no token.
    """
    path = settings.token_file
    if path is None:
        return None
    path = path.expanduser()
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsInvalid(f"{path} holds the board's token and others can reach it. Run: chmod 600 {path}")
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"`board.token_file` names {path}, which cannot be read: {type(error).__name__}. Write the token there, "
            "readable for this user alone."
        ) from error
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or any(character.isspace() for character in token):
        raise SettingsInvalid(
            f"{path} holds no token: at least {MIN_TOKEN_CHARACTERS} ASCII characters without blanks. Make one with "
            "`openssl rand -hex 32`."
        )
    return token
