"""Model plane, promotion: the decision about the newest candidate, and the verified production bundle.

Belongs here: calling gates and registry. Does not belong: thresholds or signing.
"""

import dagster as dg

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.contracts.clock import iso
from eth_pipeline.defs.assets.candidate import newest_candidate
from eth_pipeline.defs.assets.features import GROUP
from eth_pipeline.defs.assets.training_set import newest_metadata, registry_store
from eth_pipeline.defs.presentation import OWNERS, markdown_table
from eth_pipeline.defs.resources import Pipeline
from eth_pipeline.errors import BundleRefused
from eth_pipeline.registry.promotions.production import materialize_production
from eth_pipeline.registry.promotions.promotion import promote_candidate
from eth_pipeline.signals.forecasting.bundle_in_use import expectations
from eth_pipeline.signals.forecasting.bundle_in_use import production_bundle as current_bundle_of
from eth_pipeline.signals.forecasting.shadow_bundle import bring_candidate


@dg.asset(
    group_name=GROUP,
    deps=["candidate_bundle"],
    description=(
        "The decision about the newest candidate: every gate with figure, threshold, verdict and reason. A passing "
        "candidate is signed, registered and gets the production alias; a refused one is registered as refused."
    ),
    kinds={"mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            "candidate_promoted",
            asset="promotion_decision",
            description="Passes when the candidate was promoted; a refusal is a warning, not a failure.",
        )
    ],
)
def promotion_decision(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """Judge the newest candidate and register the outcome."""
    settings = pipeline.settings()
    folder = newest_candidate(context.instance)
    algorithm_digest = newest_metadata(context.instance, "candidate_bundle", "parameters_digest")
    decision, version = promote_candidate(
        folder,
        store=registry_store(settings),
        lake=pipeline.lake(),
        settings=settings,
        run_id=context.run.run_id,
        hyperparameters={"algorithm_digest": algorithm_digest},
        **expectations(settings, now=pipeline.moment().now),
    )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(decision.decision_id),
        metadata={
            "decision": decision.decision_id,
            "promoted": decision.promoted,
            "summary": decision.summary,
            "gates": gates_table(decision),
            "model_version": version,
            "fingerprint": decision.candidate_fingerprint,
            "pays_after_costs": decision.pays_after_costs,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="candidate_promoted",
                passed=decision.promoted,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"failed_gates": ", ".join(gate.name for gate in decision.failed_gates) or "none"},
            )
        ],
    )


@dg.asset(
    group_name=GROUP,
    deps=["promotion_decision"],
    description=(
        "The one bundle that may run online: downloaded from the registry's production alias, verified (signature, "
        "hashes, expiry, feature schema, decision) and kept on this host. The hourly run loads it from here."
    ),
    kinds={"mlflow", "onnx"},
    owners=OWNERS,
    code_version="1",
)
def production_bundle(pipeline: Pipeline) -> dg.MaterializeResult:
    """Bring the production alias's bundle to this host, verified."""
    settings = pipeline.settings()
    now = pipeline.moment().now
    store = registry_store(settings)
    if settings.inference.shadow_enabled:
        bring_candidate(store, settings=settings, now=now)
    bundle = materialize_production(store, home=settings.home, **expectations(settings, now=now))
    current, version = current_bundle_of(settings, now=now)
    if current.fingerprint != bundle.fingerprint:
        raise BundleRefused("Another process moved the production bundle meanwhile. Materialize this asset again.")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(bundle.fingerprint),
        metadata={
            "model_version": version,
            "fingerprint": bundle.fingerprint,
            "decision": bundle.decision.decision_id,
            "expires_at": iso(bundle.contract.expires_at),
            "trained_until": iso(bundle.contract.trained_until),
            "folder": dg.MetadataValue.path(str(bundle.folder)),
        },
    )


def gates_table(decision: PromotionDecision) -> dg.MarkdownMetadataValue:
    """Every gate with its figure, threshold and sentence."""
    rows = [
        (g.name, "pass" if g.passed else "**FAIL**", g.value, g.threshold, ", ".join(g.required_for), g.reason)
        for g in decision.gates
    ]
    return markdown_table(("gate", "verdict", "value", "threshold", "required for", "reason"), rows)
