"""Tests of eth_pipeline.registry.promotions.stacking_switch: off unless the decision proves it, on enough rows."""

from typing import Any

import pytest

from eth_pipeline.contracts.wording import said
from eth_pipeline.models.figures.report import EvaluationReport, MemberFigures
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.stacking_switch import judge_stack
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.registry_maker import NOW, around, report
from eth_pipeline_tests.spoken_chinese import english_in


def figures(hours: int, **changes: Any) -> MemberFigures:
    """A stack that is clearly better."""
    fields: dict[str, Any] = {
        "algorithm": "stacking",
        "horizon_hours": hours,
        "rows": 25_000,
        "auc": around(0.56, half_width=0.01),
        "auc_minus_primary": around(0.006, half_width=0.003),
        "log_loss": 0.687,
        "log_loss_primary": 0.688,
    }
    return MemberFigures(**{**fields, **changes})


def reported(**changes: Any) -> EvaluationReport:
    """A report whose stack is better at every horizon; `changes` bend its 5 h figures."""
    return report(members=(figures(5, **changes), figures(12), figures(24)))


def test_a_stack_proven_better_on_enough_rows_is_switched_on() -> None:
    gate = judge_stack(reported(), settings=GateSettings())
    assert gate.passed
    assert gate.required_for == ()
    assert "on: +0.0060 [+0.0030, +0.0090] AUC over the primary at 5 h on 25000 common rows" in gate.reason
    assert said(gate.reason, "zh") == "启用：5 小时上比主模型的 AUC 高 +0.0060 [+0.0030, +0.0090]，共 25000 行相同样本"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 19_999}, "19999 out-of-fold rows, 20000 are needed"),
        ({"auc_minus_primary": around(0.006, half_width=0.006)}, "not proven better"),
        ({"log_loss": 0.688}, "no lower log loss"),
        ({"algorithm": "lstm"}, "no stack over all horizons"),
    ],
)
def test_every_reason_keeps_it_off_in_words(changes: dict[str, Any], reason: str) -> None:
    gate = judge_stack(reported(**changes), settings=GateSettings())
    assert not gate.passed
    assert reason in gate.reason
    assert english_in(said(gate.reason, "zh")) == []


def test_a_horizon_on_which_it_is_worse_keeps_it_off() -> None:
    worse = report(members=(figures(5), figures(12, auc_minus_primary=around(-0.001, half_width=0.004)), figures(24)))
    reason = judge_stack(worse, settings=GateSettings()).reason
    assert "worse than the primary at 12 h" in reason
    assert said(reason, "zh") == "不启用：12 小时不如主模型（AUC -0.0010）"


def test_a_bundle_without_a_stack_is_promoted_on_its_primary_with_stacking_off() -> None:
    def decided(judged: EvaluationReport) -> tuple[bool, bool]:
        made = decide(
            judged,
            phase="paper",
            settings=GateSettings(),
            candidate_fingerprint="a" * 64,
            champion_fingerprint=None,
            champion_comparison=None,
            decided_at=NOW,
        )
        return made.promoted, made.stacking_enabled

    assert decided(report()) == (True, False)
    assert decided(reported()) == (True, True)
    assert decided(reported().model_copy(update={"oof_auc": 0.51})) == (False, False), (
        "a refused bundle enables nothing"
    )
