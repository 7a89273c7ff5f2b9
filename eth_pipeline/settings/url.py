"""Secrets in URLs: which there are, hiding them, refusing them.

Belongs here: users, passwords and tokens that a URL carries. Does not belong: which setting is a URL.
"""

import re
from urllib.parse import parse_qsl, urlsplit

_SECRET_PARAMETERS = ("password", "sslpassword", "secret", "token")
_SECRET_IN_QUERY = re.compile(rf"([?&](?:{'|'.join(_SECRET_PARAMETERS)})=)[^&#]*", re.IGNORECASE)


def without_credentials(url: str, *, instead: str = "public data needs none") -> str:
    """`url`, if nothing in it is a secret.

    Raises:
        ValueError: a user or a password is in it.
    """
    if "@" in url or url_passwords(url):
        raise ValueError(f"a URL is shown in dumps and logs; {instead}")
    return url


def url_passwords(url: str | None) -> tuple[str, ...]:
    """Every secret in a URL: before the host, and in its query (`?password=...`)."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ()
    asked = [value for name, value in parse_qsl(parts.query) if name.lower() in _SECRET_PARAMETERS]
    return tuple(password for password in (parts.password, *asked) if password)


def masked_url(url: str | None) -> str | None:
    """`url` with every secret in it replaced by `***`."""
    if not url or "://" not in url:
        return url
    url = _SECRET_IN_QUERY.sub(r"\1***", url)
    if "@" not in url:
        return url
    scheme, rest = url.split("://", 1)
    credentials, host = rest.rsplit("@", 1)
    return f"{scheme}://{credentials.split(':', 1)[0]}:***@{host}"
