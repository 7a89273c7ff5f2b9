"""The decision: all required gates or nothing, and words that an operator can act on."""

from datetime import timedelta
from typing import Any

import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.contracts.wording import said
from eth_pipeline.contracts.wording.forecasts import PAYS, TOO_FEW_ROWS, VERDICT
from eth_pipeline.errors import ProvenanceMismatch
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.registry_maker import NOW, around, horizon, report
from eth_pipeline_tests.spoken_chinese import english_in

NO_SKILL = VERDICT(skill=TOO_FEW_ROWS(hours=5), pays=PAYS(shown="7 bps"))
CONTENT = "3fa9c1d2e4b5" + "0" * 52


def decided(figures: EvaluationReport, **changes: Any) -> PromotionDecision:
    arguments: dict[str, Any] = {
        "phase": "paper",
        "settings": GateSettings(),
        "candidate_fingerprint": CONTENT,
        "champion_fingerprint": None,
        "champion_comparison": None,
        "decided_at": NOW,
    }
    return decide(figures, **{**arguments, **changes})


def without_skill() -> EvaluationReport:
    """What training on a market with planted strength zero reports: chance, everywhere."""
    chance = around(0.501, half_width=0.011)
    dull = {
        "auc": chance,
        "auc_volatility": chance,
        "auc_minus_volatility": around(0.0, half_width=0.012),
        "net_bps_per_trade": around(-14.2, half_width=4.0),
    }
    return report(
        horizons=tuple(horizon(hours, **dull) for hours in (5, 12, 24)),
        validation_auc=0.503,
        test_auc=0.497,
        oof_auc=0.501,
        provenance="simulated",
        verdict="No better than volatility alone; it does not pay.",
    )


def test_a_candidate_without_skill_is_refused_in_both_phases() -> None:
    for phase in ("paper", "live"):
        made = decided(without_skill(), phase=phase)
        assert not made.promoted
        assert {"validation_auc", "test_auc", "oof_auc", "beats_volatility", "beats_chance"} <= {
            gate.name for gate in made.failed_gates
        }
    assert "is refused for live" in made.summary
    assert "0.5010" in made.summary


def test_a_clear_signal_is_promoted_on_paper_even_from_the_sandbox() -> None:
    made = decided(report(provenance="simulated"))
    assert made.promoted
    assert not made.failed_gates
    assert made.summary.startswith("Candidate 3fa9c1d2e4b5 (lightgbm, ETHUSDT, simulated data) is promoted for paper")
    assert "For live it would also fail provenance" in made.summary


def test_the_sandbox_is_never_promoted_for_live() -> None:
    made = decided(report(provenance="simulated"), phase="live")
    assert [gate.name for gate in made.failed_gates] == ["provenance"]
    assert not made.promoted


def test_live_demands_net_profit_and_paper_reports_its_absence() -> None:
    costly = report(horizons=(horizon(5, net_bps_per_trade=around(2.0, half_width=5.0)),))
    paper, live = decided(costly), decided(costly, phase="live")
    assert (paper.promoted, paper.pays_after_costs) == (True, False)
    assert (live.promoted, live.pays_after_costs) == (False, False)
    assert [gate.name for gate in live.failed_gates] == ["pays_after_costs"]


def test_a_result_too_good_to_be_true_is_refused() -> None:
    """The reviewed system's stack scored .82 on rows its base models had been fitted on."""
    made = decided(report(oof_auc=0.82, test_auc=0.80))
    assert [gate.name for gate in made.failed_gates] == ["auc_believable"]
    assert "leak is likelier than skill" in made.summary


def test_a_champion_that_was_not_compared_is_not_beaten() -> None:
    """Retraining once accepted 0.98 of the old score, and so ratcheted down unseen."""
    made = decided(report(), champion_fingerprint="d" * 64)
    assert [gate.name for gate in made.failed_gates] == ["not_worse_than_champion"]


def test_deciding_again_about_the_champion_itself_needs_no_comparison() -> None:
    assert decided(report(), champion_fingerprint=CONTENT).promoted


def test_the_decision_id_is_readable_and_follows_from_the_question() -> None:
    made = decided(report())
    assert made.decision_id == "paper-20250629T120000Z-3fa9c1d2e4b5" == decided(report()).decision_id
    assert decided(report(), phase="live").decision_id != made.decision_id
    assert decided(report(), decided_at=NOW + timedelta(seconds=1)).decision_id != made.decision_id


def test_stacking_stays_off_and_the_decision_says_so() -> None:
    assert decided(report()).stacking_enabled is False


def test_an_unknown_provenance_is_refused_by_name() -> None:
    with pytest.raises(ProvenanceMismatch, match="'elsewhere'"):
        decided(report(provenance="elsewhere"))


def test_the_summary_of_a_refusal_is_said_in_chinese_gate_by_gate() -> None:
    summary = decided(without_skill().model_copy(update={"verdict": NO_SKILL}), phase="paper").summary
    text = said(summary, "zh")
    assert text.startswith("候选模型 3fa9c1d2e4b5（")
    assert "）被拒绝（模拟盘）：14 道闸门中" in text
    assert "；折外 AUC（oof_auc）：折外 AUC 为 0.5010，低于下限 0.5300；" in text
    assert "若用于实盘，扣费后盈利也不会通过：" in text
    assert "若用于实盘，数据来源也不会通过：训练数据来源：模拟行情；实盘只能使用交易所自己的历史数据。" in text
    assert text.endswith("样本太少，无法判断能否预测 5 小时方向；扣除成本后盈利（7 bps）。")
    assert english_in(text.replace("lightgbm", "")) == []


def test_the_summary_of_a_promotion_is_said_in_chinese() -> None:
    summary = decided(report(verdict=NO_SKILL), phase="live").summary
    assert "晋升（实盘）：16 道闸门全部通过。样本太少" in said(summary, "zh")
    assert said(summary, "en") == summary
