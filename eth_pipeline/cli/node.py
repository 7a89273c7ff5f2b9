"""`node`: this machine as a place where runs of the signal host execute.

Belongs here: what must hold before the code location is served, and serving it. Does not belong: what a node serves
(`definitions.node`), noticing that one is gone (`defs.node_runs`), the training plan.

The location is served by `dagster api grpc` and not by `dagster code-server`: runs are its own children, it knows them
as long as they live, and it ends with them.
"""

import os
import sys
from typing import Annotated

import typer

from eth_pipeline.cli.console import out, refuse_on_error
from eth_pipeline.errors import NeedsHuman, SettingsInvalid
from eth_pipeline.settings import Settings, load_settings

app = typer.Typer(help="This machine as a training node of a signal host.", no_args_is_help=True)
LOCATION = "h800"
_EVERY_INTERFACE = ("0.0.0.0", "::", "")  # noqa: S104  # named in order to be refused


@app.command("serve")
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on: loopback, or one of a private network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 4267,
    location: Annotated[
        str, typer.Option(help="Name of the code location, as in the host's workspace file.")
    ] = LOCATION,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads per run; all cores by default.")] = None,
) -> None:
    """Check this node, then serve its code location over gRPC until it is stopped; runs are its children.

    Whoever reaches the port can start runs: gRPC of Dagster knows no password. Listen on loopback behind a tunnel, or
    on an address of a network that only the signal host is in.
    """
    with refuse_on_error():
        settings = load_settings()
        if host in _EVERY_INTERFACE:
            raise SettingsInvalid(
                f"--host {host} would listen on every network of this machine, and whoever reaches the port can start "
                "runs. Name one private address, or 127.0.0.1 behind a tunnel."
            )
        prepare(settings, threads=threads)
        out.print(f"Serving the location {location} at {host}:{port}, home {settings.home}", soft_wrap=True)
        sys.stdout.flush()
        command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "eth_pipeline.definitions", "-a", "node"]
        command += ["--location-name", location, "-h", host, "-p", str(port)]
        # This interpreter; the pid stays, so that who supervises us supervises it.
        os.execv(sys.executable, command)  # noqa: S606  # nosec B606  # a list, no shell


def prepare(settings: Settings, *, threads: int | None) -> None:
    """Everything a run will need, asked for before the first run asks: shared storage, lake, disk; and its threads.

    Raises:
        NeedsHuman: a part that runs need does not work; the message says which and why.
    """
    from eth_pipeline.operations.host_health import asked, disk_has_room
    from eth_pipeline.operations.plan.preflight import driver_answers

    checks = (
        asked("Dagster storage", lambda: _storage(settings)),
        asked("lake", lambda: _lake(settings)),
        asked("disk", lambda: disk_has_room(settings)),
        asked("GPU driver", driver_answers, required=False),
    )
    for check in checks:
        word = "ok" if check.passed else ("FAIL" if check.required else "warn")
        out.print(f"{word:5} {check.name}: {check.detail}", soft_wrap=True, highlight=False, markup=False)
    failed = [f"{check.name}: {check.detail}" for check in checks if check.required and not check.passed]
    if failed:
        raise NeedsHuman("This node cannot serve. " + " ".join(failed))
    count = str(threads or os.cpu_count() or 1)
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, count)


def _storage(settings: Settings) -> str:
    from eth_pipeline.defs.instance import open_instance

    with open_instance(settings) as instance:
        count = instance.get_runs_count()
    where = settings.masked()["postgres_url"] or "SQLite below the home, which only processes of this machine can share"
    return f"{count} runs in {where}"


def _lake(settings: Settings) -> str:
    from eth_pipeline.contracts.tables import KLINES
    from eth_pipeline.lake import Lake
    from eth_pipeline.operations.host_health import lake_writable

    version = Lake.of(settings).version(KLINES)
    if "://" not in settings.lake_location:
        lake_writable(settings, may_be_new=True)
    return f"{settings.masked()['lake_url'] or settings.lake_location}, klines at version {version}"
