"""A small home with everything that the board shows, and the board as a real server on loopback.

Belongs here: building it, asking it. Does not belong: assertions.
"""

import http.client
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from eth_pipeline.board.web.server import BoardServer
from eth_pipeline.contracts.alert import AlertKind
from eth_pipeline.contracts.clock import FixedClock
from eth_pipeline.contracts.signal import ConsensusSnapshot, Reason, ReasonCode, SignalRecord, TimeframeScore
from eth_pipeline.contracts.tables import (
    FUNDING_RATES,
    KLINES,
    MARK_KLINES,
    OPEN_INTEREST,
    PREMIUM_KLINES,
    SPOT_KLINES,
)
from eth_pipeline.lake import Lake
from eth_pipeline.operations.alerting.book import AlertBook
from eth_pipeline.operations.alerting.kinds import Condition, Happening
from eth_pipeline.operations.manifest import collect_manifest, write_manifest
from eth_pipeline.operations.signal_log import SignalLog
from eth_pipeline.registry.bundles.verification import VerifiedBundle
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline.settings import AccountSettings, BoardSettings, Settings
from eth_pipeline.signals.forecasting.forecast import BundleForecaster
from eth_pipeline.signals.gating.gate import MlAvailability
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline.signals.technical.consensus import build_consensus
from eth_pipeline.trading.ledger import ACCOUNT_EVENTS, frame_from_events
from eth_pipeline_tests.decision_samples import HOUR, NOON, bars, funding, mark_bars, open_interest, signal, walk
from eth_pipeline_tests.inference_host import InferenceHost, rich_parts
from eth_pipeline_tests.trading_samples import Market, hours_of, run, sides

CLOCK = NOON + timedelta(minutes=4, seconds=20)
TOKEN = "0123456789abcdef0123456789abcdef"
DAYS = 3
HOLE = NOON - 7 * HOUR
STALE_HOUR = NOON - 20 * HOUR
STALE = Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail="newest data is 3.01 h old, limit 1.00 h")
ANSWERED = MlAvailability(True, None, "version 7 answered")
LOST = Reason(code=ReasonCode.SOURCE_DEGRADED, subject="spot_klines BTCUSDT", detail="no row at all")


class BoardHome:
    """A home at `NOON`: three days of signals, streams, an account, a model, alerts, a manifest."""

    def __init__(self, folder: Path) -> None:
        self._host = InferenceHost(folder)
        self.settings: Settings = self._host.settings
        self.lake: Lake = self._host.lake
        self.bundle: VerifiedBundle = self._host.produce("7", rich_parts())
        self._forecaster = BundleForecaster(self.bundle, version="7")
        newest = self._host.rows(self.bundle.contract.window_hours)
        self._forecast = self._forecaster.forecast(newest, now=NOON)
        self._log_promotion()
        self._fill_streams()
        self._host.forecast()
        self._sign()
        self._trade()
        self._warn()
        self._note()

    @property
    def log(self) -> SignalLog:
        """The signal log."""
        return SignalLog(self.lake, folder=self.settings.home / "logs")

    def copy_to(self, folder: Path) -> Settings:
        """The settings of a copy of this home, for a test that changes something."""
        shutil.copytree(self.settings.home, folder)
        return self.settings.model_copy(update={"home": folder})

    def configured(self, **board: Any) -> Settings:
        """The settings with other fields of `BoardSettings`."""
        return self.settings.model_copy(update={"board": BoardSettings(**board)})

    def record(self, hour: datetime, *, reasons: tuple[Reason, ...] = (), with_model: bool = True) -> SignalRecord:
        """What this home would decide for an hour."""
        made: dict[str, Any] = {"verdict": judge(reasons, phase="paper"), "emitted_at": hour + timedelta(seconds=41)}
        if with_model:
            made |= {"forecast": self._forecast, "model": self._forecaster.info, "ml": ANSWERED}
        made["snapshot"] = _consensus(self.settings, hour)
        made["table_versions"] = {
            table.name: version
            for table in (KLINES, MARK_KLINES, self._host.table)
            if (version := self.lake.version(table)) is not None
        }
        return signal(self.settings, hour, **made)

    def _log_promotion(self) -> None:
        log = PromotionLog.of(self.settings.home)
        log.append(decision=self.bundle.decision, version="7", run_id="run-0", at=NOON - timedelta(hours=40))

    def _fill_streams(self) -> None:
        for symbol in self.settings.symbols:
            self.lake.upsert(KLINES, bars(walk(6), first=NOON - 6 * HOUR, symbol=symbol))
            self.lake.upsert(MARK_KLINES, mark_bars(walk(6), first=NOON - 6 * HOUR, symbol=symbol))
            self.lake.upsert(FUNDING_RATES, funding({NOON - 4 * HOUR: 0.0001}, symbol=symbol))
        self.lake.upsert(SPOT_KLINES, bars(walk(6), first=NOON - 9 * HOUR, table=SPOT_KLINES))
        small = [(0.001, 0.002, -0.001, 0.0005)] * 6
        self.lake.upsert(PREMIUM_KLINES, bars(small, first=NOON - 6 * HOUR, table=PREMIUM_KLINES))
        self.lake.upsert(OPEN_INTEREST, open_interest(NOON - HOUR))

    def _sign(self) -> None:
        hours = [NOON - n * HOUR for n in range(24 * DAYS, -1, -1)]
        records = [
            self.record(hour, reasons=(STALE,) if hour == STALE_HOUR else ((LOST,) if hour == NOON else ()))
            for hour in hours
            if hour != HOLE
        ]
        self.log.write_many(records)

    def _trade(self) -> None:
        begin, hours = NOON - timedelta(days=DAYS), 24 * DAYS
        prices = [round(2000 + 60 * math.sin(n / 7) + 0.9 * n, 2) for n in range(hours)]
        wanted = sides(*[1 if (n // 9) % 2 else -1 for n in range(hours)], first=begin)
        book = run(Market(hours_of(*prices, first=begin), wanted), AccountSettings())
        rows = frame_from_events(book.new_events, symbol="ETHUSDT", phase="paper", provenance="simulated")
        self.lake.upsert(ACCOUNT_EVENTS, rows)

    def _warn(self) -> None:
        book = AlertBook(self.settings.home, targets=1, hold_off=timedelta(), calm=timedelta())
        condition = Condition(
            AlertKind.DRIFT, "features", "2 of 60 features moved. Look at the drift report.", "warning"
        )
        book.observe([condition], now=NOON - 2 * HOUR)
        book.happened([Happening(AlertKind.PROMOTION, "d-1", "Version 7 was promoted.")], now=NOON - 3 * HOUR)
        book.close()

    def _note(self) -> None:
        manifest = collect_manifest(
            self.settings,
            now=NOON + timedelta(seconds=41),
            provenance="simulated",
            versions={"klines": 5, "signals": 12},
            bundle_fingerprint=self.bundle.fingerprint,
            model_version="7",
        )
        write_manifest(manifest, folder=self.settings.home)


@contextmanager
def board_of(settings: Settings, *, now: datetime = CLOCK, host: str = "127.0.0.1") -> Iterator[BoardServer]:
    """The board of a home at an instant, on a free port."""
    with BoardServer(settings, clock=FixedClock(now), host=host) as server:
        yield server


def token_file(folder: Path, *, mode: int = 0o600) -> Path:
    """A file that holds `TOKEN`."""
    path = folder / "board_token"
    path.write_text(TOKEN + "\n")
    path.chmod(mode)
    return path


def raw(
    server: BoardServer, path: str, *, method: str = "GET", body: str = "", headers: Sequence[tuple[str, str]] = ()
) -> tuple[int, str]:
    """Status and body of a request whose path and headers no client library has tidied up."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest(method, path, skip_host=any(name.lower() == "host" for name, _ in headers))
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _consensus(settings: Settings, hour: datetime) -> ConsensusSnapshot:
    scores = []
    for place, timeframe in enumerate(("1h", "4h", "8h", "24h")):
        net = 62 * math.sin((hour - NOON) / HOUR / 6 + 1.2 + place / 3)
        parts = {"moving_averages": round(net, 1), "kdj_rsi": round(net / 2, 1)}
        scores.append(
            TimeframeScore(
                timeframe=timeframe,
                close_time=hour,
                buy_score=round(max(net, 4.0), 1),
                sell_score=round(max(-net, 3.0), 1),
                components=parts,
                reasons={"kdj_rsi": "RSI 58 and rising"},
            )
        )
    return build_consensus(tuple(scores), settings=settings.signals)
