"""Bundles in MLflow: registering one, remembering one from elsewhere, counting what was tried.

Belongs here: runs and what is logged with them. Does not belong: versions that are there (`versions`), what a record
holds (`registry.runs.run_record`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import DecisionRefused
from eth_pipeline.models.figures.report import EvaluationReport
from eth_pipeline.registry.bundles.served_folder import save_served
from eth_pipeline.registry.bundles.verification import fingerprint, read_data_versions
from eth_pipeline.registry.mlflow_store.versions import CANDIDATE, RegisteredVersion, Versions
from eth_pipeline.registry.runs.run_record import RunRecord, log_record
from eth_pipeline.registry.runs.tries import all_runs, count_tries

_MODEL = "model"


class RegistryStore(Versions):
    """Bundles in MLflow under one registered model and one experiment of the same name.

    Args:
        tracking_uri: `sqlite:///...` or the URL of an MLflow server.
        artifact_root: folder for bundles where there is no server; a server decides itself.
    """

    def register_candidate(
        self,
        folder: Path,
        *,
        report: EvaluationReport,
        decision: PromotionDecision,
        run_tags: Mapping[str, str],
        params: Mapping[str, Any],
        plots: Mapping[str, bytes] | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> RegisteredVersion:
        """Log one run with the bundle in `folder` and register it as a version; `candidate` then names it.

        The version's files are an MLflow model that any MLflow client can load and serve (`served_model`), with the
        signed bundle beside it in `bundle/`. Refused candidates are registered too: they count as tries and show why
        they were refused.

        Args:
            params: `parameters_digest`, `symbol` and `provenance` among them decide what counts as one try.
            plots: file name to PNG.
            origin: tags of run and version that say where a bundle that was trained on another host comes from.

        Raises:
            DecisionRefused: the decision is about another bundle.
            ModelRefused: its primary models cannot be served.
            RegistryUnavailable: MLflow does not answer.
        """
        content = fingerprint(folder)
        if decision.candidate_fingerprint != content:
            raise DecisionRefused(
                f"Decision {decision.decision_id} is not about the bundle in {folder}. Attach the decision first."
            )
        record = RunRecord(
            report=report, data=read_data_versions(folder), params=params, tags=run_tags, plots=plots or {}
        )
        tags = {
            "decision_id": decision.decision_id,
            "fingerprint": content,
            "provenance": decision.provenance,
            "phase": decision.phase,
            "promoted": str(decision.promoted).lower(),
            **record.lake_tags,
            **(origin or {}),
        }
        with self._reached("register a candidate") as client, tempfile.TemporaryDirectory() as scratch:
            import mlflow.onnx

            run = client.create_run(self._experiment(client), tags={**record.tags, **tags})
            run_id, source = run.info.run_id, f"{run.info.artifact_uri}/{_MODEL}"
            try:
                log_record(client, mlflow.entities, run_id, record, scratch=Path(scratch))
                made = save_served(mlflow, folder, Path(scratch) / _MODEL, decision=decision, run_id=run_id)
                client.log_artifacts(run_id, str(made), _MODEL)
                self._ensure_model(client)
                version = client.create_model_version(
                    self.model_name, source, run_id, tags=tags, description=decision.summary
                )
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
            client.set_registered_model_alias(self.model_name, CANDIDATE, str(version.version))
        return RegisteredVersion(str(version.version), run_id, content, decision.decision_id, decision.promoted)

    def record_import(self, record: RunRecord, *, papers: Sequence[Path]) -> str:
        """Log one run about a candidate that was trained on another host; returns its id.

        It is no version: nobody decided about it here. Its parameters make it count as a try. Asked again for the
        same `fingerprint` and `origin_collection`, the run that is there is the answer.

        Args:
            record: its tags name both.
            papers: files that are kept below `origin/`.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        named = " and ".join(f"tags.{name} = '{record.tags[name]}'" for name in ("fingerprint", "origin_collection"))
        with self._reached("record an import") as client, tempfile.TemporaryDirectory() as scratch:
            import mlflow

            experiment = self._experiment(client)
            done = client.search_runs([experiment], f"{named} and attributes.status = 'FINISHED'", max_results=1)
            if done:
                return str(done[0].info.run_id)
            run_id = client.create_run(experiment, tags={**record.tags, **record.lake_tags}).info.run_id
            try:
                log_record(client, mlflow.entities, run_id, record, scratch=Path(scratch))
                for paper in papers:
                    client.log_artifact(run_id, str(paper), "origin")
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
        return str(run_id)

    def unfinished(self, decision_id: str) -> RegisteredVersion | None:
        """What became of a registration whose process died: its version, finished here, or None where none was made.

        Its run, which nobody ends any more, is ended.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        named = f"tags.decision_id = '{decision_id}'"
        with self._reached(f"look for decision {decision_id}") as client:
            versions = client.search_model_versions(f"name = '{self.model_name}' and {named}")
            experiment = client.get_experiment_by_name(self.model_name)
            runs = client.search_runs([experiment.experiment_id], named) if experiment is not None else []
            for run in runs:
                if run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "FINISHED" if versions else "KILLED")
            if not versions:
                return None
            newest = max(versions, key=lambda found: int(found.version))
            client.set_registered_model_alias(self.model_name, CANDIDATE, str(newest.version))
        return self.version(str(newest.version))

    def tries(self, *, symbol: str | None = None, provenance: str | None = None, including: str | None = None) -> int:
        """Number of configurations ever tried on one history, deleted runs included.

        What counts as one is said in `registry.runs.tries`.

        Args:
            symbol: only runs about it; empty counts all.
            provenance: only runs on data of this origin; empty counts all.
            including: digest of a configuration about to be tried, counted whether it is new or not.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached("count the tries") as client:
            from mlflow.entities import ViewType

            experiment = client.get_experiment_by_name(self.model_name)
            runs = all_runs(client, experiment.experiment_id, view=ViewType.ALL) if experiment is not None else iter(())
            return count_tries(runs, symbol=symbol, provenance=provenance, including=including)
