"""docs/promotion-policy.md: what a candidate must show, with the thresholds that the settings have by default.

Belongs here: rendering, and a sentence per gate about why it exists. Does not belong: a gate's verdict (`gates`,
`stacking_switch`). A test judges a candidate and holds names, thresholds and phases of this page to the verdicts.
"""

from dataclasses import dataclass

from eth_pipeline.registry.promotions.gates import BOTH, LIVE, MIN_TRADES
from eth_pipeline.settings import GateSettings, Phase


@dataclass(frozen=True)
class GatePage:
    """How one gate is described.

    Attributes:
        name: the gate, as decisions name it.
        demands: what is asked of the figure, without its threshold.
        why: what went or would go wrong without it.
        setting: field of `GateSettings` that holds the threshold; None where it is fixed.
        fixed: the threshold where no setting holds it.
        required_for: phases that refuse a candidate which fails it; none for a gate that only switches something.
    """

    name: str
    demands: str
    why: str
    setting: str | None = None
    fixed: str = ""
    required_for: tuple[Phase, ...] = BOTH

    def threshold(self, settings: GateSettings) -> str:
        """The threshold as text, with the setting that holds it."""
        if self.setting is None:
            return self.fixed
        return f"{getattr(settings, self.setting):g} (`gates.{self.setting}`)"


GATES: tuple[GatePage, ...] = (
    GatePage(
        "n_samples",
        "labelled out-of-fold rows, at least",
        "On few rows every figure below is luck.",
        "min_samples",
    ),
    GatePage(
        "validation_auc",
        "AUC of the sign at 5 h on the inner validation rows, mean of the folds, at least",
        "What early stopping saw must be skill, too.",
        "min_validation_auc",
    ),
    GatePage(
        "test_auc",
        "the same AUC on the newest quarter of the out-of-fold rows, at least",
        "A model that was good once may not be now.",
        "min_test_auc",
    ),
    GatePage("oof_auc", "the same AUC on all out-of-fold rows, at least", "The figure itself.", "min_oof_auc"),
    GatePage(
        "oof_test_gap",
        "distance of the two AUCs above, at most",
        "A wide one says that the past was learnt by heart.",
        "max_oof_test_gap",
    ),
    GatePage(
        "coverage_mean",
        "mean share of feature values that are present, at least",
        "A model of holes learns the holes.",
        "min_coverage_mean",
    ),
    GatePage(
        "coverage_core",
        "smallest coverage among the 20 features with most gain, at least",
        "What it leans on must be there every hour.",
        "min_coverage_core",
    ),
    GatePage(
        "calibration_error",
        "expected calibration error at the shortest horizon, ten bins, at most",
        "Sizes are computed from probabilities.",
        "max_calibration_error",
    ),
    GatePage(
        "beats_volatility",
        "lower bound of the paired AUC difference to a volatility-only baseline, above",
        "Volatility alone can look like direction.",
        fixed="0",
    ),
    GatePage("beats_chance", "lower bound of the AUC, above", "The plain question.", fixed="0.5"),
    GatePage(
        "deflated",
        "the same lower bound, widened for the number of configurations tried on this history (Bonferroni), above",
        "The best of many tries is good by selection.",
        fixed="0.5",
    ),
    GatePage(
        "auc_believable",
        "highest AUC of all, at most",
        "Beyond it a leak is likelier than skill: look for it first.",
        "max_believable_auc",
    ),
    GatePage(
        "onnx_parity",
        "largest difference between the ONNX file and the model it came from, at most",
        "The file decides, not the model that was judged.",
        fixed="tolerance of the algorithm",
    ),
    GatePage(
        "not_worse_than_champion",
        "lower bound of the paired AUC difference to production on rows that neither has trained on, not below minus",
        "A change must not cost skill; production that was not compared is not beaten.",
        "max_champion_loss",
    ),
    GatePage(
        "pays_after_costs",
        f"lower bound of net bps per trade at the best horizon with {MIN_TRADES} trades, above",
        "Skill that does not pay its costs is for paper.",
        fixed="0",
        required_for=LIVE,
    ),
    GatePage(
        "provenance",
        "origin of the training data",
        "A model of a synthetic market says nothing about the real one.",
        fixed="`binance`",
        required_for=LIVE,
    ),
    GatePage(
        "stacking",
        "common out-of-fold rows, at least; then better than the primary with proof at the shortest horizon, worse at "
        "none, lower log loss at all",
        "A stack that only fits better acts as one more try.",
        "stacking_min_samples",
        required_for=(),
    ),
)

_INTRODUCTION = """# Promotion policy

Generated by `eth_pipeline.registry.promotions.policy_docs`; a test holds this file to it and to the gates. Write it
again with `make generated`.

A model decides hours only after a *promotion decision* about its bundle passed every gate that the phase requires. The
decision is part of the bundle: each gate with its figure, its threshold and a sentence. Nothing else puts a model into
production, and a missing figure never passes.

## Gates

Intervals are 95 %, weekly block bootstrap. All AUCs are of the sign of the forward return on the mark price, entered at
the next bar, out of fold: purged walk-forward with an embargo. `live` demands all gates of `paper` and its own; what
live would refuse is said in every decision for paper."""

_AFTERWARDS = """
The thresholds are settings (`eth-pipeline config show`); those in force stand in every decision. They were not lowered
for the demo or the replay: a planted signal of strength 1.0 is refused, one of 1.5 is promoted
([experiments](experiments.md)).

## What happens around a decision

1. `candidate_bundle` puts the newest trained models of one training set together, with the figures above.
2. `promotion_decision` judges the bundle. Refused: it is registered as `candidate`, and the reasons are on the asset's
   page, in `eth-pipeline promotions show` and in the alert `promotion`.
3. Promoted: an intent is written to the promotion log, the bundle is signed and registered, the outcome is written, the
   aliases `production` and `previous` move ([ADR 9](adr/0009-promotions-are-settled-from-the-log.md)). A process killed
   in between is finished or closed by the next command.
4. `production_bundle` fetches what the alias names, verifies signature, hashes, schema, expiry and decision, and only
   then replaces what this host uses. What does not verify is refused, and the bundle in use stays.
5. A bundle expires {bundle_valid_days} days after its promotion (`gates.bundle_valid_days`). Then hours carry
   `bundle_expired`.

## By hand

| you type | you get |
|---|---|
| `eth-pipeline promotions list` | every decision, newest last, with its number |
| `eth-pipeline promotions show NUMBER` | one of them gate by gate: figure, threshold, verdict, reason |
| `eth-pipeline promotions verify` | proof that no entry of the log was changed or cut off |
| `eth-pipeline alias --check-only` | do registry, log and this host agree? exit 0 yes, 1 no, 3 the registry is silent |
| `eth-pipeline rollback` | production is the previous signed version, verified again and recorded |

A rollback needs no gate: the version it returns to passed its own. An alias that a hand moved in MLflow to a version
that verifies is adopted and recorded; any other is refused."""


def render_promotion_policy(settings: GateSettings | None = None) -> str:
    """The whole of docs/promotion-policy.md, with the thresholds of `settings` (by default the defaults)."""
    settings = settings or GateSettings()
    lines = [
        _INTRODUCTION,
        "",
        "| gate | asks | threshold | refuses | why |",
        "|---|---|---|---|---|",
        *[_row(gate, settings) for gate in GATES],
        _AFTERWARDS.replace("{bundle_valid_days}", str(settings.bundle_valid_days)),
    ]
    return "\n".join(lines) + "\n"


def _row(gate: GatePage, settings: GateSettings) -> str:
    refuses = {BOTH: "paper, live", LIVE: "live", (): "nothing; switches the stack on"}[gate.required_for]
    return f"| `{gate.name}` | {gate.demands} | {gate.threshold(settings)} | {refuses} | {gate.why} |"


if __name__ == "__main__":
    import sys

    sys.stdout.write(render_promotion_policy())
