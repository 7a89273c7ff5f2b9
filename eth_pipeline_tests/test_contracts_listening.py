"""One rule for every server: beyond this machine only with a token."""

import pytest

from eth_pipeline.contracts.listening import is_loopback, require_safe
from eth_pipeline.errors import SettingsInvalid

OTHERS_REACH = ("0.0.0.0", "192.0.2.7", "::", "", "gpu-node.example", "localhost.example", "127.0.0.1.example")
ONLY_HERE = ("127.0.0.1", "127.8.0.1", "::1", "localhost")


def safe(host: str, token: str | None) -> None:
    require_safe(host, token=token, server="the board", remedy="Name a file with `board.token_file`")


@pytest.mark.parametrize("host", OTHERS_REACH)
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    """The reviewed system served 0.0.0.0 without authentication."""
    assert not is_loopback(host)
    safe(host, "x" * 32)
    with pytest.raises(SettingsInvalid, match=r"the board has no token\. Name .*`, or listen"):
        safe(host, None)


@pytest.mark.parametrize("host", ONLY_HERE)
def test_an_address_that_only_this_machine_reaches_needs_none(host: str) -> None:
    assert is_loopback(host)
    safe(host, None)
