"""Signal host and node as two hosts: two networks joined by a cable, two host names, one PostgreSQL, one lake.

Needs root and `ip`: network namespaces are made and removed here; elsewhere it is skipped with the reason.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from eth_pipeline.cli.processes import free_port
from eth_pipeline_tests.node_hosts import NODE_PORT, Host, Machine, serve_host, serve_node
from eth_pipeline_tests.postgres_server import postgres_server
from eth_pipeline_tests.test_cli_node import NOBODY, held_back, monitor
from eth_pipeline_tests.waiting import wait_until

NODE_NAME = "training-node"


@dataclass(frozen=True)
class Cable:
    """A pair of network interfaces: one end here, the other in a network of its own."""

    namespace: str
    here: str
    host_address: str
    node_address: str

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        ip("link", "set", self.here, "down")


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"`ip {' '.join(arguments)}` is not allowed here: {done.stderr.strip()}")


@contextmanager
def cable() -> Iterator[Cable]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip` of iproute2")
    number = os.getpid() % 250
    made = Cable(f"node{os.getpid()}", f"here{os.getpid()}"[:15], f"10.231.{number}.1", f"10.231.{number}.2")
    ip("netns", "add", made.namespace)
    try:
        ip("link", "add", made.here, "type", "veth", "peer", "name", "there", "netns", made.namespace)
        ip("addr", "add", f"{made.host_address}/24", "dev", made.here)
        ip("link", "set", made.here, "up")
        inside = ("netns", "exec", made.namespace, "ip")
        ip(*inside, "addr", "add", f"{made.node_address}/24", "dev", "there")
        ip(*inside, "link", "set", "there", "up")
        ip(*inside, "link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", made.namespace], check=False)  # takes the cable along


@dataclass(frozen=True)
class TwoHosts:
    cable: Cable
    signal_host: Machine
    node: Machine
    server: psutil.Process
    host: Host


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    folder = tmp_path_factory.mktemp("apart")
    with ExitStack() as stack:
        joined = stack.enter_context(cable())
        url = stack.enter_context(postgres_server(address=joined.host_address)) + "/postgres"
        shared = {**NOBODY, "ETH_PIPELINE_POSTGRES_URL": url, "ETH_PIPELINE_LAKE_URL": str(folder / "lake")}
        named = ("unshare", "--uts", "sh", "-c", f'hostname {NODE_NAME} && exec "$@"', "sh")
        prefix = ("ip", "netns", "exec", joined.namespace, *named)
        node = stack.enter_context(Machine(folder / "node" / "home", shared, prefix))
        signal_host = stack.enter_context(Machine(folder / "host" / "home", shared))
        server = serve_node(node, host=joined.node_address, port=NODE_PORT)
        host = serve_host(signal_host, node=joined.node_address, node_port=NODE_PORT, web_port=free_port())
        yield TwoHosts(joined, signal_host, node, server, host)


def network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


@pytest.mark.slow
def test_a_run_executes_on_the_other_host_and_a_cut_cable_ends_it(apart: TwoHosts) -> None:
    """Over a cut cable nothing is refused: packets vanish, and whoever waits without a limit waits for ever."""
    run_id = apart.host.launched("features")
    networks: set[str] = set()

    def ended() -> bool:
        for child in apart.server.children(recursive=True):
            with suppress(FileNotFoundError):  # it ended between the two looks
                networks.add(network_of(child.pid))
        return apart.host.run(run_id).ended

    wait_until(ended, seconds=120)
    run = apart.host.run(run_id)
    assert run.status == "SUCCESS", run.messages
    assert networks == {network_of(apart.server.pid)}
    assert network_of(os.getpid()) not in networks
    assert "features: 0 hours rebuilt" in run.messages
    assert run.metadata()["rows"] == 0
    assert not list((apart.node.home / "dagster").rglob("*.db")), "the node keeps no storage of its own"

    held_back(apart.node)
    lasting = apart.host.launched("features")
    wait_until(lambda: apart.host.run(lasting).status == "STARTED", seconds=120)
    assert lasting not in monitor(apart.signal_host, silence_seconds=0.0)
    apart.cable.cut()
    told = monitor(apart.signal_host, silence_seconds=0.0)
    assert apart.host.run(lasting).status == "FAILURE"
    assert "the node h800 has not answered" in told[lasting]
