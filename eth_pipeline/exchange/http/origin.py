"""Whose data this is: Binance's, or an embedded exchange's replayed or simulated one.

Belongs here: the rule that decides provenance, and the refusal to mix. Does not belong: sending (`transport`),
what provenance allows later (`registry`). Provenance decides what may ever go live, so it is never guessed:
Binance is a Binance host over https (its certificate is the proof), an embedded exchange says so in every
answer, anything else is refused.
"""

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from eth_pipeline.errors import ProvenanceMismatch, SettingsInvalid

PROVENANCE_HEADER = "X-Sandbox-Provenance"
_BINANCE_DOMAINS = ("binance.com", "binance.vision")


class Origin:
    """Provenance of the hosts of one exchange.

    Args:
        urls: setting name (`futures_url`, ...) to URL.

    Raises:
        SettingsInvalid: Binance and another exchange are mixed.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._lock = threading.Lock()
        are_binance = {_is_binance(url) for url in self._urls.values()}
        if len(are_binance) > 1:
            raise SettingsInvalid(
                f"Binance over https and another exchange are mixed: {self._urls}. Point futures_url, spot_url and "
                "archive_url to one exchange; rows of two origins must not meet in one table."
            )
        self._known = "binance" if are_binance == {True} else None

    @property
    def known(self) -> str | None:
        """The provenance; None until an embedded exchange has answered."""
        return self._known

    def check(self, setting: str, header: str | None) -> None:
        """Take note of the provenance header of a good answer from the host of `setting`.

        Raises:
            SettingsInvalid: the host is no exchange we know.
            ProvenanceMismatch: it serves data of another origin than the answers before.
        """
        if _is_binance(self._urls[setting]):
            return
        if header not in ("replay", "simulated"):
            raise SettingsInvalid(
                f"{self._urls[setting]} is neither Binance over https nor an embedded exchange (its "
                f"{PROVENANCE_HEADER} is {header!r}). Correct {setting}; rows of unknown origin are not stored."
            )
        with self._lock:
            if self._known not in (None, header):
                raise ProvenanceMismatch(
                    f"{self._urls[setting]} serves {header} data, other answers were {self._known}. Point "
                    "futures_url, spot_url and archive_url to one exchange."
                )
            self._known = header


def _is_binance(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and any(host == name or host.endswith(f".{name}") for name in _BINANCE_DOMAINS)
