"""An ASGI application on one socket, as a process or a thread: what the inference service and the board share.

Belongs here: listening, starting, stopping. Does not belong: routes, who may ask.
"""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import uvicorn

from eth_pipeline.errors import SettingsInvalid

LOOPBACK = "127.0.0.1"
_SIMULTANEOUS_REQUESTS = 64


class ListeningServer:
    """An application on one address; a context manager.

    Args:
        application: any ASGI application.
        name: what messages and the thread call it.
        host: address to listen on, IPv4 or IPv6.
        port: 0 takes a free one.
    """

    def __init__(self, application: Any, *, name: str, host: str, port: int) -> None:
        self._application, self._name = application, name
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL.

        Raises:
            SettingsInvalid: not started.
        """
        if self._socket is None:
            raise SettingsInvalid(f"The {self._name} is not running. Call start() or use it as a context manager.")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._socket.getsockname()[1]}"

    def start(self) -> Self:
        """Serve in a thread; the port accepts connections when this returns.

        Raises:
            SettingsInvalid: the address cannot be listened on.
        """
        server, listening = self._prepare()
        self._thread = threading.Thread(target=server.run, args=([listening],), name=self._name, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port; harmless when not running."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def serve_forever(self, announce: Callable[[Self], None] = lambda _: None) -> None:
        """Serve in the calling thread until interrupted; `announce` is called once when the port is bound."""
        server, listening = self._prepare()
        try:
            announce(self)
            server.run([listening])
        finally:
            self.stop()

    def __enter__(self) -> Self:
        return self.start() if self._socket is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        self._socket = _listen(self._host, self._port)
        config = uvicorn.Config(
            self._application,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=_SIMULTANEOUS_REQUESTS,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        return self._server, self._socket


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SettingsInvalid(
            f"Port {port} of {host} cannot be listened on ({error}). Choose another, or 0 for a free one."
        ) from error
    listening.listen(128)
    return listening
