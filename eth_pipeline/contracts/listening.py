"""Where a server of ours may listen without a token, and which addresses only this machine reaches.

Belongs here: the one rule for every server. Does not belong: tokens (`signals.forecasting.remote`, `board.token`),
requests and who may come in (`serving.door`, `board.door`).
"""

import ipaddress

from eth_pipeline.errors import SettingsInvalid

_LOOPBACK_NAMES = ("localhost",)


def require_safe(host: str, *, token: str | None, server: str, remedy: str) -> None:
    """Refuse to listen beyond this machine without a token.

    Args:
        host: the address to listen on.
        token: what requests must carry; None admits everybody.
        server: who would listen, for the message: "the board".
        remedy: how to give it a token, for the message; without a full stop.

    Raises:
        SettingsInvalid: `host` is no loopback address and there is no token.
    """
    if token is None and not is_loopback(host):
        raise SettingsInvalid(
            f"{host} is reachable from other machines and {server} has no token. {remedy}, or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """True for addresses and names that only this machine can reach; an unknown name is none of them."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES
