"""Which market the embedded exchange serves: synthetic or a replay of recordings.

Belongs here: turning options into a market and an `as_of`; remembering them beside a demo home.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eth_pipeline.contracts.clock import iso, parse_instant
from eth_pipeline.errors import SettingsInvalid
from eth_pipeline.sandbox.market import Market
from eth_pipeline.sandbox.replay import ReplayMarket
from eth_pipeline.sandbox.synthetic import SyntheticMarket

DEFAULT_AS_OF = datetime(2025, 6, 29, 12, tzinfo=UTC)
SYMBOLS = ("ETHUSDT", "BTCUSDT", "SOLUSDT", "BNBUSDT")
_AHEAD = timedelta(days=400)


@dataclass(frozen=True)
class MarketPlan:
    """A market that can be built again from this plan, row for row."""

    replay: Path | None
    as_of: datetime
    strength: float
    seed: int
    years: float

    @classmethod
    def make(cls, *, replay: Path | None, as_of: str | None, strength: float, seed: int, years: float) -> "MarketPlan":
        """Check the options.

        Raises:
            SettingsInvalid: the folder does not exist or the instant cannot be read.
        """
        if replay is not None and not any(replay.glob("klines_*_1h.parquet")):
            raise SettingsInvalid(f"{replay} holds no klines_<SYMBOL>_1h.parquet. Name a folder of recordings.")
        try:
            instant = parse_instant(as_of) if as_of else DEFAULT_AS_OF
        except ValueError as error:
            raise SettingsInvalid(f"--as-of {as_of!r}: {error}. Write it like 2025-06-29T12:00:00Z.") from error
        folder = replay.resolve() if replay else None
        whole_second = instant.replace(microsecond=0)  # as it is saved and handed to the serving process
        return cls(replay=folder, as_of=whole_second, strength=strength, seed=seed, years=years)

    @property
    def history_start(self) -> datetime:
        """First instant worth ingesting: midnight `years` before `as_of`; replay starts with the recordings."""
        if self.replay is not None:
            return datetime(2020, 1, 1, tzinfo=UTC)
        return (self.as_of - timedelta(days=365.25 * self.years)).replace(hour=0, minute=0, second=0, microsecond=0)

    @property
    def base_interval(self) -> str:
        """Recordings exist at 1 h only."""
        return "1h" if self.replay else "15m"

    def build(self, *, also: tuple[str, ...] = ()) -> Market:
        """The market itself; a synthetic one lists the symbols of `also` beside its own."""
        if self.replay is not None:
            return ReplayMarket(self.replay)
        return SyntheticMarket(
            seed=self.seed,
            start=self.history_start,
            end=self.as_of + _AHEAD,
            signal_strength=self.strength,
            symbols=tuple(dict.fromkeys((*SYMBOLS, *also))),
        )

    def serve_arguments(self) -> list[str]:
        """Options of `eth-pipeline sandbox serve` that serve this market."""
        arguments = ["--as-of", iso(self.as_of), "--strength", str(self.strength), "--seed", str(self.seed)]
        arguments += ["--years", str(self.years)]
        return [*arguments, "--replay", str(self.replay)] if self.replay else arguments

    def save(self, home: Path) -> None:
        """Remember the plan beside the home, so that `up` serves the same market."""
        plan = {
            "replay": str(self.replay) if self.replay else None,
            "as_of": iso(self.as_of),
            "strength": self.strength,
            "seed": self.seed,
            "years": self.years,
        }
        home.mkdir(parents=True, exist_ok=True)
        draft = home / "market.json.part"
        draft.write_text(json.dumps(plan, indent=2) + "\n")
        draft.replace(home / "market.json")

    @classmethod
    def load(cls, home: Path) -> "MarketPlan | None":
        """The plan saved beside `home`; None for a home that was never a demo's.

        Raises:
            SettingsInvalid: the file is no plan, or its recordings are gone.
        """
        path = home / "market.json"
        if not path.is_file():
            return None
        try:
            plan = json.loads(path.read_text())
            replay = Path(plan.pop("replay")) if plan["replay"] else plan.pop("replay")
            return cls.make(replay=replay, **plan)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsInvalid(f"{path} is no saved market ({error}). Remove this home, or name another.") from error

    def environment(self, *, home: Path, url: str) -> dict[str, str]:
        """Environment of every process that works on this home against the exchange at `url`."""
        variables = {
            "ETH_PIPELINE_HOME": str(home.resolve()),
            "ETH_PIPELINE_EXCHANGE__FUTURES_URL": url,
            "ETH_PIPELINE_EXCHANGE__SPOT_URL": url,
            "ETH_PIPELINE_EXCHANGE__ARCHIVE_URL": url,
            "ETH_PIPELINE_BASE_INTERVAL": self.base_interval,
            "ETH_PIPELINE_HISTORY_START": iso(self.history_start),
        }
        if self.replay:  # recorded open interest is a snapshot every eight hours
            variables["ETH_PIPELINE_FRESHNESS__OPEN_INTEREST__MAX_LAG_HOURS"] = "9"
            variables["ETH_PIPELINE_FRESHNESS__OPEN_INTEREST__STALE_POLICY"] = "degrade"
        return variables
