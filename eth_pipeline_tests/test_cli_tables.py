"""Terminal tables in the language of the settings."""

import io

from rich.console import Console
from rich.table import Table

from eth_pipeline.cli.tables import signal_table, signals_table
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.contracts.wording.details import NEWEST_TOO_OLD
from eth_pipeline.signals.policy import judge
from eth_pipeline_tests.decision_samples import NOON, sample_settings, signal

STALE = Reason(code=ReasonCode.STREAM_STALE, subject="klines ETHUSDT", detail=NEWEST_TOO_OLD(age=3.01, limit=1.0))
BLOCKED = signal(sample_settings(), NOON, verdict=judge([STALE], phase="paper"))


def printed(table: Table) -> str:
    target = io.StringIO()
    Console(file=target, width=200).print(table)
    return target.getvalue()


def test_a_blocked_hour_is_shown_in_chinese_with_its_code() -> None:
    text = printed(signal_table(BLOCKED, language="zh"))
    for words in (
        "信号 ETHUSDT",
        "阻断",
        "观望",
        "数据流过期（stream_stale）",
        "最新数据已有 3.01 小时，上限 1.00 小时",
        "可开仓",
    ):
        assert words in text
    assert "数据流过期 (klines ETHUSDT)" in printed(signals_table([BLOCKED], language="zh"))


def test_the_same_hour_is_shown_in_english_by_default() -> None:
    text = printed(signal_table(BLOCKED))
    for words in ("Signal ETHUSDT", "blocked", "HOLD", "stream_stale: newest data is 3.01 h old, limit 1.00 h"):
        assert words in text
