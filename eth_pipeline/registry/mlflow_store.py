"""The model registry: MLflow, and the only import of it in the package.

Belongs here: runs, model versions, aliases, artifacts. Does not belong: verdicts, verification, the local copy.

Embedded it is a SQLite file and a folder of artifacts; in production the tracking URI names a server. MLflow is
imported on first use (about 2.5 s), the first use of a new SQLite file also creates its tables (about 2 s), so the
hourly path never comes here.

Aliases: `candidate` is the newest registered bundle, promoted or not; `production` the one that may run online;
`previous` the one that `production` named before.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import httpx2

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import BundleRefused, DecisionRefused, RegistryUnavailable
from eth_pipeline.models.report import EvaluationReport
from eth_pipeline.registry.layout import bundle_files
from eth_pipeline.registry.log_state import LogHead
from eth_pipeline.registry.mlflow_environment import quiet_after_import, settle_before_import
from eth_pipeline.registry.run_record import RunRecord, log_record
from eth_pipeline.registry.served_folder import BUNDLE, save_served
from eth_pipeline.registry.tries import all_runs, count_tries
from eth_pipeline.registry.verification import FINGERPRINT, fingerprint, read_data_versions

CANDIDATE = "candidate"
PRODUCTION = "production"
PREVIOUS = "previous"
_MODEL = "model"
_ANCHOR = "promotion_log_head"


@dataclass(frozen=True)
class RegisteredVersion:
    """One model version: its number, the run that made it, and the content and decision its tags name."""

    version: str
    run_id: str
    fingerprint: str
    decision_id: str = ""
    promoted: bool = False


class RegistryStore:
    """Bundles in MLflow under one registered model and one experiment of the same name.

    Args:
        tracking_uri: `sqlite:///...` or the URL of an MLflow server.
        artifact_root: folder for bundles where there is no server; a server decides itself.
    """

    def __init__(self, tracking_uri: str, *, artifact_root: Path, model_name: str = "eth_pipeline") -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        self.model_name = model_name
        self._connected: Any = None

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

    def promote(self, version: str) -> None:
        """Let `production` name `version` and `previous` the one it named before.

        `previous` moves first: killed in between, both name the old version and nothing has changed. Promoting the
        production version again changes nothing.

        Raises:
            BundleRefused: no such version.
            RegistryUnavailable: MLflow does not answer.
        """
        target = self.version(version).version
        with self._reached(f"promote version {version}") as client:
            current = self._aliases(client).get(PRODUCTION)
            if current == target:
                return
            if current is not None:
                client.set_registered_model_alias(self.model_name, PREVIOUS, current)
            client.set_registered_model_alias(self.model_name, PRODUCTION, target)

    def name(self, alias: str, version: str) -> None:
        """Let one alias name `version`.

        Raises:
            BundleRefused: no such version.
            RegistryUnavailable: MLflow does not answer.
        """
        target = self.version(version).version
        with self._reached(f"let {alias} name version {version}") as client:
            if self._aliases(client).get(alias) != target:
                client.set_registered_model_alias(self.model_name, alias, target)

    def anchor(self) -> LogHead | None:
        """The newest entry of the promotion log that the registry carries out, None where none is anchored.

        Raises:
            ContractViolation: the tag was edited.
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached("read the anchor of the promotion log") as client:
            found = client.search_registered_models(f"name = '{self.model_name}'")
            text = found[0].tags.get(_ANCHOR) if found else None
        return LogHead.parse(text) if text else None

    def anchor_to(self, head: LogHead) -> None:
        """Remember `head` as the newest entry that is carried out.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached("anchor the promotion log") as client:
            self._ensure_model(client)
            client.set_registered_model_tag(self.model_name, _ANCHOR, str(head))

    def require_answer(self, *, within_seconds: float) -> None:
        """Ask a server whether it lives, with less patience than MLflow's client has; a file always answers.

        Raises:
            RegistryUnavailable: it does not answer in time.
        """
        if not self.tracking_uri.startswith("http"):
            return
        try:
            httpx2.get(f"{self.tracking_uri.rstrip('/')}/health", timeout=within_seconds).raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RegistryUnavailable(
                self._masked(f"MLflow ({self.tracking_uri}) does not answer: {error}. ")
                + "The verified bundle on this host stays in use; look at the server if this lasts."
            ) from error

    def production(self) -> RegisteredVersion | None:
        """The version that may run online, None when none was promoted yet."""
        return self.version_of(PRODUCTION)

    def version_of(self, alias: str) -> RegisteredVersion | None:
        """The version that `alias` names, None when it names none.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        named = self.named_by(alias)
        return self.version(named) if named is not None else None

    def named_by(self, alias: str) -> str | None:
        """The version number that `alias` names, whatever that version is; None when it names none.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached(f"read the alias {alias}") as client:
            return self._aliases(client).get(alias)

    def version(self, version: str) -> RegisteredVersion:
        """One registered version.

        Raises:
            BundleRefused: no such version, or one that this system did not register.
            RegistryUnavailable: MLflow does not answer.
        """
        found = self._model_version(version)
        content = found.tags.get("fingerprint", "")
        if not FINGERPRINT.fullmatch(content):  # tags can be edited by hand, and this one becomes a folder name
            raise BundleRefused(
                f"Version {version} of {self.model_name} has no fingerprint in its tags ({content!r}): it was not "
                "registered by the promotion, or edited. Move the alias to a version that was."
            )
        promoted = found.tags.get("promoted") == "true"
        decision_id = found.tags.get("decision_id", "")
        return RegisteredVersion(str(found.version), found.run_id or "", content, decision_id, promoted)

    def download(self, version: str, target: Path) -> Path:
        """Copy the bundle of `version` below the folder `target` and return the bundle folder, unverified.

        Raises:
            BundleRefused: no such version, its files are gone, or no bundle may hold them.
            RegistryUnavailable: MLflow does not answer.
        """
        source = f"{self._model_version(version).source}/{BUNDLE}"
        place = urlparse(source)
        if place.scheme in ("", "file"):
            here = Path(unquote(place.path))
            if not here.is_dir():
                raise BundleRefused(
                    f"The files of version {version} are gone from {source}. Restore them, or roll back to another "
                    "version."
                )
            bundle_files(here)  # links and oversized files are refused before a byte of them is copied
        target.mkdir(parents=True, exist_ok=True)
        with self._reached(f"download version {version}"):
            from mlflow.artifacts import download_artifacts

            return Path(download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=self.tracking_uri))

    def tries(self, *, symbol: str | None = None, provenance: str | None = None, including: str | None = None) -> int:
        """Number of configurations ever tried on one history, deleted runs included.

        What counts as one is said in `registry.tries`.

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

    @contextmanager
    def _reached(self, purpose: str) -> Iterator[Any]:
        """The MLflow client; whatever MLflow raises becomes one error that says what was not done."""
        settle_before_import()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._connected is None:
                self._connected = self._connect()
            yield self._connected
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise RegistryUnavailable(
                self._masked(f"MLflow ({self.tracking_uri}) could not {purpose}: {error}. ")
                + "The verified bundle on this host stays in use; look at the server if this lasts."
            ) from error

    def _connect(self) -> Any:
        from mlflow import MlflowClient

        if self.tracking_uri.startswith("sqlite:///"):
            Path(self.tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        quiet_after_import()
        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.model_name)
        if found is not None:
            return str(found.experiment_id)
        served = self.tracking_uri.startswith("http")
        location = None if served else self.artifact_root.resolve().as_uri()
        return str(client.create_experiment(self.model_name, artifact_location=location))

    def _ensure_model(self, client: Any) -> None:
        if not client.search_registered_models(f"name = '{self.model_name}'"):
            client.create_registered_model(self.model_name)

    def _aliases(self, client: Any) -> dict[str, str]:
        """Alias to version; empty while nothing was registered."""
        found = client.search_registered_models(f"name = '{self.model_name}'")
        return {alias: str(version) for alias, version in found[0].aliases.items()} if found else {}

    def _model_version(self, version: str) -> Any:
        with self._reached(f"read version {version}") as client:
            from mlflow.exceptions import MlflowException

            try:
                return client.get_model_version(self.model_name, version)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
        raise BundleRefused(f"{self.model_name} has no version {version!r}. Choose one that the promotion log names.")

    def _masked(self, text: str) -> str:
        """`text` without the user and password of the tracking URI."""
        credentials, at, _ = urlparse(self.tracking_uri).netloc.rpartition("@")
        return text.replace(credentials + at, "") if at else text
