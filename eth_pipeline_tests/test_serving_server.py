"""Where the service listens: loopback unless a token guards it, and one process per port."""

from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.contracts.inference import HEALTH
from eth_pipeline.errors import BundleAbsent, SettingsInvalid
from eth_pipeline.serving.server import InferenceServer
from eth_pipeline_tests.inference_host import CLOCK, TOKEN, InferenceHost


@pytest.fixture
def host(tmp_path: Path) -> InferenceHost:
    """A host with a bundle."""
    host = InferenceHost(tmp_path)
    host.produce("1")
    return host


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", "", "gpu-node.example"])
def test_an_address_that_others_reach_needs_a_token(host: InferenceHost, address: str) -> None:
    """The reviewed system served 0.0.0.0 without authentication."""
    with pytest.raises(SettingsInvalid, match="no token"):
        InferenceServer(host.settings, clock=FixedClock(CLOCK), host=address)


def test_with_a_token_it_listens_everywhere_and_asks_everybody_for_it(host: InferenceHost) -> None:
    host.configure(token=SecretStr(TOKEN))
    with InferenceServer(host.settings, clock=FixedClock(CLOCK), host="0.0.0.0") as server:
        local = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(local + HEALTH).status_code == 401
        assert httpx2.get(local + HEALTH, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_token_that_is_none_stops_the_start(host: InferenceHost) -> None:
    host.configure(token=SecretStr("secret"))
    with pytest.raises(SettingsInvalid, match="is no token"):
        InferenceServer(host.settings, clock=FixedClock(CLOCK))


def test_without_a_bundle_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BundleAbsent):
        InferenceServer(InferenceHost(tmp_path).settings, clock=FixedClock(CLOCK))


def test_a_taken_port_is_named_and_a_stopped_server_frees_it(host: InferenceHost) -> None:
    with InferenceServer(host.settings, clock=FixedClock(CLOCK)) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(SettingsInvalid, match=f"Port {port}"):
            InferenceServer(host.settings, clock=FixedClock(CLOCK), port=port).start()
    with pytest.raises(SettingsInvalid, match="not running"):
        _ = server.url
    with InferenceServer(host.settings, clock=FixedClock(CLOCK), port=port) as again:
        assert httpx2.get(again.url + HEALTH).status_code == 200
