"""Secrets that stand in URLs: found, masked, taken out.

Belongs here: where a URL can hold one. Does not belong: which settings are URLs, other secrets (`SecretStr`).
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_PARAMETERS = ("password", "sslpassword", "secret", "token")
_IN_QUERY = re.compile(rf"([?&](?:{'|'.join(_PARAMETERS)})=)[^&#]*", re.IGNORECASE)


class Credentials(NamedTuple):
    """User and password as they are, without the escapes of a URL; a password may be empty."""

    user: str
    password: str


def masked_url(url: str | None) -> str | None:
    """`url` with every secret in it replaced by `***`; what is no URL stays as it is."""
    if not url or "://" not in url:
        return url
    url = _IN_QUERY.sub(r"\1***", url)
    if "@" not in url:
        return url
    scheme, rest = url.split("://", 1)
    credentials, host = rest.rsplit("@", 1)
    return f"{scheme}://{credentials.split(':', 1)[0]}:***@{host}"


def url_passwords(url: str | None) -> tuple[str, ...]:
    """Every secret in a URL: before the host, and in its query (`?password=...`)."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ()
    asked = [value for name, value in parse_qsl(parts.query) if name.lower() in _PARAMETERS]
    return tuple(password for password in (parts.password, *asked) if password)


def without_credentials(url: str, *, instead: str) -> str:
    """`url`, if nothing in it is a secret.

    Args:
        url: of a setting that is shown.
        instead: what to do with the credential.

    Raises:
        ValueError: a user or a password is in it.
    """
    if "@" in url or url_passwords(url):
        raise ValueError(f"a URL is shown in dumps and logs; {instead}")
    return url


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """`url` without the user and password before its host, and these two; None where there are none."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    before, at, host = place.rpartition("@")
    if not separator or not at:
        return url, None
    user, _, password = before.partition(":")
    return f"{scheme}://{host}{slash}{path}", Credentials(unquote(user), unquote(password))
