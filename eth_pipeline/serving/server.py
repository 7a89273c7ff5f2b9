"""The inference service, put together: bundle, door, application, socket.

Belongs here: the wiring. Does not belong: routes (`application`), who may ask (`door`), sockets (`listening_server`).
"""

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.contracts.listening import require_safe
from eth_pipeline.serving.application import InferenceApplication
from eth_pipeline.serving.door import Door
from eth_pipeline.serving.listening_server import LOOPBACK, ListeningServer
from eth_pipeline.serving.served_bundle import ServedBundle
from eth_pipeline.settings import Settings
from eth_pipeline.signals.forecasting.forecast import Providers
from eth_pipeline.signals.forecasting.remote import read_token


class InferenceServer(ListeningServer):
    """The service on one address; a context manager.

    Args:
        settings: home and keys of the bundle, `inference` for token and limits.
        clock: exchange time; the expiry is measured against it.
        host: address to listen on; anything but loopback needs a token.
        port: 0 takes a free one.
        providers: ONNX Runtime execution providers; None takes the GPU where there is one.

    Raises:
        SettingsInvalid: no token for an address that others can reach, or an unusable token.
        BundleRefused: or one of its kinds; there is no bundle that may be served now.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        host: str = LOOPBACK,
        port: int = 0,
        providers: Providers | None = None,
    ) -> None:
        token = read_token(settings.inference)
        require_safe(
            host,
            token=token,
            server="the service",
            remedy="Set `inference.token_file` or `inference.token` on both hosts",
        )
        self.served = ServedBundle(settings, clock=clock, providers=providers)
        self.served.current()
        application = InferenceApplication(
            self.served, door=Door(token), clock=clock, max_request_bytes=settings.inference.max_request_bytes
        )
        super().__init__(application.starlette, name="inference service", host=host, port=port)
