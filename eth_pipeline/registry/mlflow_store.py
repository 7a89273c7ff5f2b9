"""The model registry: MLflow, and the only import of it in the package.

Belongs here: runs, model versions, aliases, artifacts. Does not belong: verdicts, verification, the local copy.

Embedded it is a SQLite file and a folder of artifacts; in production the tracking URI names a server. MLflow is
imported on first use (about 2.5 s), the first use of a new SQLite file also creates its tables (about 2 s), so the
hourly path never comes here.

Aliases: `candidate` is the newest registered bundle, promoted or not; `production` the one that may run online;
`previous` the one that `production` named before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import BundleRefused, DecisionRefused, RegistryUnavailable
from eth_pipeline.models.report import EvaluationReport
from eth_pipeline.registry.mlflow_environment import quiet_after_import, settle_before_import
from eth_pipeline.registry.run_figures import data_params, report_metrics
from eth_pipeline.registry.verification import FINGERPRINT, fingerprint, read_data_versions

CANDIDATE = "candidate"
PRODUCTION = "production"
PREVIOUS = "previous"
_ARTIFACTS = "bundle"
_MOST_PARAMS = 100  # MLflow takes no more in one call


@dataclass(frozen=True)
class RegisteredVersion:
    """One model version: its number, the run that made it, and the content and decision its tags name."""

    version: str
    run_id: str
    fingerprint: str
    decision_id: str = ""


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
        run_tags: dict[str, str],
        params: dict[str, Any],
    ) -> RegisteredVersion:
        """Log one run with the bundle in `folder` and register it as a version; `candidate` then names it.

        Refused candidates are registered too: they count as tries and show why they were refused.

        Raises:
            DecisionRefused: the decision is about another bundle.
            RegistryUnavailable: MLflow does not answer.
        """
        content = fingerprint(folder)
        if decision.candidate_fingerprint != content:
            raise DecisionRefused(
                f"Decision {decision.decision_id} is not about the bundle in {folder}. Attach the decision first."
            )
        tags = {
            "decision_id": decision.decision_id,
            "fingerprint": content,
            "provenance": decision.provenance,
            "phase": decision.phase,
            "promoted": str(decision.promoted).lower(),
        }
        with self._reached("register a candidate") as client:
            run = client.create_run(self._experiment(client), tags={**run_tags, **tags})
            run_id, artifacts = run.info.run_id, f"{run.info.artifact_uri}/{_ARTIFACTS}"
            try:
                _log(client, run_id, report_metrics(report), {**params, **data_params(read_data_versions(folder))})
                client.log_artifacts(run_id, str(folder), _ARTIFACTS)
                self._ensure_model(client)
                made = client.create_model_version(
                    self.model_name, artifacts, run_id, tags=tags, description=decision.summary
                )
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
            client.set_registered_model_alias(self.model_name, CANDIDATE, str(made.version))
        return RegisteredVersion(str(made.version), run_id, content, decision.decision_id)

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

    def production(self) -> RegisteredVersion | None:
        """The version that may run online, None when none was promoted yet."""
        return self.version_of(PRODUCTION)

    def version_of(self, alias: str) -> RegisteredVersion | None:
        """The version that `alias` names, None when it names none.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached(f"read the alias {alias}") as client:
            named = self._aliases(client).get(alias)
        return self.version(named) if named is not None else None

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
        return RegisteredVersion(str(found.version), found.run_id or "", content, found.tags.get("decision_id", ""))

    def download(self, version: str, target: Path) -> Path:
        """Copy the bundle of `version` below the folder `target` and return the bundle folder, unverified.

        Raises:
            BundleRefused: no such version, or its files are gone.
            RegistryUnavailable: MLflow does not answer.
        """
        source = str(self._model_version(version).source)
        place = urlparse(source)
        if place.scheme in ("", "file") and not Path(unquote(place.path)).is_dir():
            raise BundleRefused(
                f"The files of version {version} are gone from {source}. Restore them, or roll back to another version."
            )
        target.mkdir(parents=True, exist_ok=True)
        with self._reached(f"download version {version}"):
            from mlflow.artifacts import download_artifacts

            return Path(download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=self.tracking_uri))

    def tries(self) -> int:
        """Number of candidates ever registered, deleted runs included: every one was a look at the same history.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached("count the tries") as client:
            from mlflow.entities import ViewType

            experiment = client.get_experiment_by_name(self.model_name)
            if experiment is None:
                return 0
            count, token = 0, None
            while True:
                page = client.search_runs(
                    [experiment.experiment_id], run_view_type=ViewType.ALL, max_results=1000, page_token=token
                )
                count, token = count + len(page), page.token
                if not token:
                    return count

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


def _log(client: Any, run_id: str, metrics: dict[str, float], params: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    texts = [Param(name, str(value)) for name, value in params.items()]
    for start in range(0, len(texts), _MOST_PARAMS):
        client.log_batch(run_id, params=texts[start : start + _MOST_PARAMS])
    moment = client.get_run(run_id).info.start_time
    client.log_batch(run_id, metrics=[Metric(name, value, moment, 0) for name, value in metrics.items()])
