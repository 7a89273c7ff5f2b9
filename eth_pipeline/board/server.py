"""The board as a process or a thread: the socket and its life.

Belongs here: listening, starting, stopping. Does not belong: routes, who may look.
"""

import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

import uvicorn

from eth_pipeline.board.application import make_application
from eth_pipeline.board.door import Sessions
from eth_pipeline.board.login import Attempts
from eth_pipeline.board.source import BoardSource
from eth_pipeline.board.token import is_loopback, read_token, require_safe
from eth_pipeline.contracts.clock import Clock
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.settings import Settings

LOOPBACK = "127.0.0.1"
_SIMULTANEOUS_REQUESTS = 64


class BoardServer:
    """The board on one address; a context manager.

    Args:
        settings: of the home it shows.
        clock: exchange time.
        host: address to listen on; anything but loopback needs a token.
        port: 0 takes a free one.

    Raises:
        SettingsInvalid: no token for an address that others can reach, or an unusable token.
    """

    def __init__(self, settings: Settings, *, clock: Clock, host: str = LOOPBACK, port: int = 0) -> None:
        token = read_token(settings.board)
        require_safe(host, token=token)
        named = frozenset(name.lower() for name in settings.board.allowed_hosts)
        self._application = make_application(
            BoardSource(settings, clock=clock),
            sessions=Sessions(token, clock=clock, lasts=timedelta(hours=settings.board.session_hours)),
            attempts=Attempts(settings.board.login_attempts_per_minute),
            token=token,
            hosts=named if named or is_loopback(host) else None,
        )
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
            raise SettingsInvalid("The board is not running. Call start() or use it as a context manager.")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._socket.getsockname()[1]}"

    def start(self) -> "BoardServer":
        """Serve in a thread; the port accepts connections when this returns."""
        server, listening = self._prepare()
        self._thread = threading.Thread(target=server.run, args=([listening],), name="board", daemon=True)
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

    def serve_forever(self, announce: Callable[["BoardServer"], None] = lambda _: None) -> None:
        """Serve in the calling thread until interrupted; `announce` is called once when the port is bound."""
        server, listening = self._prepare()
        try:
            announce(self)
            server.run([listening])
        finally:
            self.stop()

    def __enter__(self) -> "BoardServer":
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
