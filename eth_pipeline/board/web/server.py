"""The board, put together: source, door, application, socket.

Belongs here: the wiring. Does not belong: routes, who may look, sockets (`serving.listening_server`).
"""

from datetime import timedelta

from eth_pipeline.board.reading.source import BoardSource
from eth_pipeline.board.web.application import make_application
from eth_pipeline.board.web.door import Sessions
from eth_pipeline.board.web.login import Attempts
from eth_pipeline.board.web.token import read_token
from eth_pipeline.contracts.clock import Clock
from eth_pipeline.contracts.listening import is_loopback, require_safe
from eth_pipeline.serving.listening_server import LOOPBACK, ListeningServer
from eth_pipeline.settings import Settings


class BoardServer(ListeningServer):
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
        require_safe(
            host,
            token=token,
            server="the board",
            remedy="Name a file that holds one with `board.token_file` (ETH_PIPELINE_BOARD__TOKEN_FILE)",
        )
        named = frozenset(name.lower() for name in settings.board.allowed_hosts)
        application = make_application(
            BoardSource(settings, clock=clock),
            sessions=Sessions(token, clock=clock, lasts=timedelta(hours=settings.board.session_hours)),
            attempts=Attempts(settings.board.login_attempts_per_minute),
            token=token,
            hosts=named if named or is_loopback(host) else None,
        )
        super().__init__(application, name="board", host=host, port=port)
