"""The documents: they build as a site without a warning, and what they say of the code is what the code says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eth_pipeline.registry.promotions.decision import decide
from eth_pipeline.registry.promotions.policy_docs import GATES, render_promotion_policy
from eth_pipeline.settings import GateSettings
from eth_pipeline_tests.registry_maker import NOW, report

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """A link to a page or heading that is gone, a page that no table of contents names, an image that is not there."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "dummy", "-c", str(DOCS)]
    command += [str(REPOSITORY), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_promotion_policy_is_generated_from_the_gates() -> None:
    assert (DOCS / "promotion-policy.md").read_text(encoding="utf-8") == render_promotion_policy()


def test_every_gate_of_a_decision_has_its_line_with_its_threshold_and_phases() -> None:
    settings = GateSettings(
        min_samples=8_001, min_validation_auc=0.531, max_champion_loss=0.004, stacking_min_samples=20_001
    )
    decision = decide(
        report(),
        phase="paper",
        settings=settings,
        candidate_fingerprint="a" * 64,
        champion_fingerprint=None,
        champion_comparison=None,
        decided_at=NOW,
    )
    assert [gate.name for gate in GATES] == [gate.name for gate in decision.gates]
    for page, gate in zip(GATES, decision.gates, strict=True):
        assert page.required_for == gate.required_for, page.name
        if page.setting is not None:
            assert getattr(settings, page.setting) == abs(float(gate.threshold or 0)), page.name
        elif page.fixed[0].isdigit():
            assert float(page.fixed) == gate.threshold, page.name


def test_the_table_of_layers_is_the_contract_of_import_linter() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [[name.strip() for name in layer.split("|")] for layer in contracts[0]["layers"]]
    section = (DOCS / "architecture.md").read_text().partition("## Folders are layers")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", section, flags=re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == layers


@pytest.mark.parametrize("page", ["model-card.md"])
def test_every_interval_of_the_page_stands_in_the_experiments(page: str) -> None:
    """A figure is printed by a command and written into docs/experiments.md once; other pages repeat it."""
    known = re.sub(r"\s+", " ", (DOCS / "experiments.md").read_text())
    figures = re.findall(r"[+-]?[\d.]+\s\[[^\]]+\]", (DOCS / page).read_text())
    assert len(figures) > 15
    assert [figure for figure in figures if re.sub(r"\s+", " ", figure).lstrip("+") not in known] == []
