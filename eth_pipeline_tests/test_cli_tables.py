"""Terminal tables in the language of the settings."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from eth_pipeline.cli.tables import (
    checks_table,
    decision_table,
    evaluation_table,
    gates_table,
    lineage_table,
    process_table,
    signal_table,
    signals_table,
)
from eth_pipeline.contracts.signal import Reason, ReasonCode
from eth_pipeline.contracts.wording import coded, said
from eth_pipeline.contracts.wording.details import NEWEST_TOO_OLD
from eth_pipeline.contracts.wording.lineage import NO_TABLE
from eth_pipeline.contracts.wording.processes import CODE_CHANGED
from eth_pipeline.models.figures.evaluation import verdict
from eth_pipeline.operations.host_health import Check
from eth_pipeline.operations.lineage import LineageStep
from eth_pipeline.operations.processes import ProcessState, ProcessStatus
from eth_pipeline.signals.gating.policy import judge
from eth_pipeline_tests.decision_samples import HOUR, NO_MODEL, NOON, sample_settings, signal
from eth_pipeline_tests.spoken_chinese import english_in
from eth_pipeline_tests.test_operations_health import CLOCK, examined, working_home
from eth_pipeline_tests.test_registry_decision import decided, without_skill

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


def test_the_health_of_a_host_is_shown_in_chinese(tmp_path: Path) -> None:
    """Every check and every answer that this host can give; what an error of another part says stays English."""
    seen: set[Check] = set()
    for folder, moment, occasion in (
        ("home", CLOCK, "running"),
        ("home", CLOCK + 77 * HOUR, "running"),
        ("new", CLOCK, "start"),
    ):
        settings = working_home(tmp_path / folder) if folder == "home" else sample_settings(tmp_path / folder)
        seen |= set(examined(settings, now=moment, occasion=occasion).checks)
    foreign = {check for check in seen if re.match("[A-Z][a-z]+[A-Z][A-Za-z]+: ", check.detail)}
    assert len({check.name for check in foreign}) == 2
    assert [check.name for check in seen if english_in(said(check.name, "zh"))] == []
    own = [check.detail for check in seen - foreign if check.detail != NO_MODEL.detail]
    assert [detail for detail in own if english_in(said(detail, "zh"))] == []
    text = printed(checks_table(seen, language="zh"))
    for words in ("健康检查", "K 线 ETHUSDT 新鲜", "最新数据已有 77.01 小时，上限 1.00 小时", "正常", "不通过", "警告"):
        assert words in text
    english = printed(checks_table(seen))
    for words in ("Health", "klines ETHUSDT fresh", "newest data is 77.01 h old, limit 1.00 h", "ok", "FAIL", "warn"):
        assert words in english


@pytest.mark.parametrize("table", [decision_table, gates_table])
def test_a_decision_is_shown_in_chinese_with_its_gates(table: Callable[..., Table]) -> None:
    decision = decided(without_skill())
    text, english = printed(table(decision, language="zh")), printed(table(decision))
    assert "折外AUC为0.5010，低于下限0.5300" in "".join(text.split()), "of the summary, or of the gate itself"
    assert ("被拒绝（模拟盘）" in text) is (table is decision_table)
    for name in (gate.name for gate in decision.gates):
        assert coded(name, "zh") in text
        assert name in english
    for word in ("闸门", "结论", "阈值", "适用阶段", "通过", "不通过", "模拟盘, 实盘"):
        assert word in text
    assert {"pass", "FAIL", "fail"} & set(text.split()) == set()
    assert {"pass", "FAIL"} <= set(english.split())


def test_an_evaluation_is_shown_in_chinese_with_its_verdict() -> None:
    figures = without_skill()
    figures = figures.model_copy(update={"verdict": verdict(figures.horizons[0], round_trip_cost_bps=14.0)})
    text, english = printed(evaluation_table(figures, language="zh")), printed(evaluation_table(figures))
    trades = figures.horizons[0].trades
    for words in ("样本外", "预测期限", "仅用波动率", "每笔净基点", f"共 {trades} 笔"):
        assert words in text
    assert "".join(said(figures.verdict, "zh").split()) in "".join(text.split())
    assert english_in(said(figures.verdict, "zh")) == []
    for words in ("Out of sample", f"in {trades} trades"):
        assert words in english
    assert "".join(figures.verdict.split()) in "".join(english.split())


def test_a_lineage_is_shown_in_chinese_and_names_the_codes_in_english() -> None:
    facts = {"note": NO_TABLE(), "clean": True, "reasons": "none", "auc_5h": 0.56, "values_sha256": "ab" * 32}
    steps = (LineageStep("features", facts),)
    text = printed(lineage_table(BLOCKED, steps, language="zh"))
    for words in ("的血缘", "步骤", "特征", "说明 作决策时该表还不存在", "无缺口 是", "原因 无", "5 小时 AUC 0.56"):
        assert words in text
    english = printed(lineage_table(BLOCKED, steps))
    for words in ("Lineage of 2025", "note the table did not exist", "clean yes", "auc_5h 0.56", "values_sha256 abab"):
        assert words in english


def test_processes_are_shown_in_chinese() -> None:
    status = ProcessStatus("daemon", ProcessState.RUNNING, CODE_CHANGED())
    assert "运行中" in printed(process_table([status], language="zh"))
    assert "启动后代码有改动，请重启" in printed(process_table([status], language="zh"))
    assert "its code was changed since it started: restart it" in printed(process_table([status]))
