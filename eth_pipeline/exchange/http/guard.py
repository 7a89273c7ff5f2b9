"""May a request be sent now, and what does its outcome mean for the next one: budget, holds, bans, breakers, regions.

Belongs here: the order in which those are asked, and which of them learns what. Does not belong: their arithmetic
(`budget`, `breaker`), HTTP (`transport`). Everything but a region's refusal is shared by all processes of this host.

Two circuits per request: the host (connecting) and the endpoint (answering). A host nobody can connect to is one
failure, not one for every endpoint it has.
"""

from eth_pipeline.contracts.clock import Clock
from eth_pipeline.errors import RegionRestricted
from eth_pipeline.exchange.http.breaker import Breaker, BreakerState
from eth_pipeline.exchange.http.budget import Allowance, Budget
from eth_pipeline.exchange.http.endpoint import Endpoint, Host
from eth_pipeline.exchange.http.patience import retry_after_seconds
from eth_pipeline.exchange.http.state import HostState
from eth_pipeline.settings import ExchangeSettings

_DEFAULT_PAUSE_SECONDS = 60.0  # 429 without Retry-After: one weight window
_DEFAULT_BAN_SECONDS = 120.0  # 418 without Retry-After: the shortest ban Binance documents


class Guard:
    """What stands between a process and the exchange's patience; thread-safe as its parts are.

    Args:
        state: what this host remembers between processes.
        settings: limits of budget and breakers.
        clock: wall clock of budgets, bans and breakers.
    """

    def __init__(self, state: HostState, *, settings: ExchangeSettings, clock: Clock) -> None:
        self._clock = clock
        self._restricted: dict[Host, str] = {}
        self._budget = Budget(state, clock=clock, reserve_share=settings.weight_reserve_share)
        self._breaker = Breaker(
            state,
            clock=clock,
            failures_to_open=settings.breaker_failures,
            cooldown_seconds=settings.breaker_cooldown_minutes * 60.0,
        )
        # Binance's documented limits per address; spot allows 6000, the futures figure is kept there too.
        self._allowances = {
            "weight": Allowance("request weight", settings.weight_limit_per_minute, 60),
            "futures_data_requests": Allowance("futures data requests", 1000, 300),
            "funding_requests": Allowance("funding requests", 500, 300),
        }

    def breaker_states(self) -> dict[str, BreakerState]:
        """State of every breaker that ever counted: of a host (connecting) or of `host/path` (answering)."""
        return self._breaker.states()

    def admit(self, endpoint: Endpoint, host: str) -> None:
        """Ask before the first try of a request.

        Args:
            endpoint: what is asked.
            host: its network location, as breakers and holds name it.

        Raises:
            RegionRestricted: this process was refused for its location before.
            RateLimited, Banned, CircuitOpen: not now.
        """
        if (refused := self._restricted.get(endpoint.host)) is not None:
            raise RegionRestricted(refused)  # final: one question per process and host is enough
        self._budget.check_hold(host)
        self._breaker.admit(host)
        self._breaker.admit(_circuit(endpoint, host))

    def pay(self, endpoint: Endpoint, host: str, *, cost: int) -> None:
        """Take `cost` units from the endpoint's allowance, before every try.

        Raises:
            RateLimited, Banned: a hold began meanwhile, or the allowance is spent.
        """
        self._budget.check_hold(host)
        if endpoint.allowance != "none":
            self._budget.spend(host, self._allowances[endpoint.allowance], cost)

    def answered(self, endpoint: Endpoint, host: str, *, status: int) -> None:
        """The host works; an endpoint that refuses works as well."""
        self._breaker.succeeded(host)
        if 400 <= status < 500:
            self._breaker.succeeded(_circuit(endpoint, host))

    def succeeded(self, endpoint: Endpoint, host: str, *, used_weight: str) -> None:
        """A whole answer came; `used_weight` is the exchange's own count, empty where it sent none."""
        self._breaker.succeeded(_circuit(endpoint, host))
        if endpoint.allowance == "weight" and used_weight.isdigit():
            self._budget.observe(host, self._allowances["weight"], int(used_weight))

    def failed(self, endpoint: Endpoint, host: str, reason: str, *, unreachable: bool) -> None:
        """All tries failed; `unreachable`: there was no connection, so the host failed and not the endpoint."""
        self._breaker.failed(host if unreachable else _circuit(endpoint, host), reason)

    def hold(self, host: str, *, is_ban: bool, retry_after: str | None) -> None:
        """Send nothing more to `host` for as long as it said.

        Raises:
            RateLimited, Banned: always.
        """
        default = _DEFAULT_BAN_SECONDS if is_ban else _DEFAULT_PAUSE_SECONDS
        pause = retry_after_seconds(retry_after, otherwise=default, now=self._clock.now())
        self._budget.hold(host, seconds=max(1.0, pause), is_ban=is_ban)
        self._budget.check_hold(host)

    def restrict(self, endpoint: Endpoint, reason: str) -> None:
        """Ask this host no more in this process.

        Raises:
            RegionRestricted: always.
        """
        self._restricted[endpoint.host] = reason
        raise RegionRestricted(reason)


def _circuit(endpoint: Endpoint, host: str) -> str:
    return f"{host}{'/data' if endpoint.host == 'archive' else endpoint.path}"
