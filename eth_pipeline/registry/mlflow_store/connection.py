"""The way to MLflow: its client, its errors as one of ours, and the experiment and model that everything lies under.

Belongs here: connecting, patience, masking. Does not belong: versions and aliases (`versions`), runs (`store`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx2

from eth_pipeline.errors import RegistryUnavailable
from eth_pipeline.registry.atomic import exclusive
from eth_pipeline.registry.runs.mlflow_environment import (
    hand_over_credentials,
    quiet_after_import,
    settle_before_import,
)
from eth_pipeline.settings.url_secrets import split_credentials


class Connection:
    """One registered model and one experiment of the same name.

    Args:
        tracking_uri: `sqlite:///...` or the URL of an MLflow server.
        artifact_root: folder for bundles where there is no server; a server decides itself.
    """

    def __init__(self, tracking_uri: str, *, artifact_root: Path, model_name: str = "eth_pipeline") -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        self.model_name = model_name
        self._connected: Any = None

    def require_answer(self, *, within_seconds: float) -> None:
        """Ask a server whether it lives, with less patience than MLflow's client has; a file always answers.

        Raises:
            RegistryUnavailable: it does not answer in time.
        """
        if not self.tracking_uri.startswith("http"):
            return
        address, credentials = split_credentials(self.tracking_uri)
        try:
            answer = httpx2.get(f"{address.rstrip('/')}/health", auth=credentials, timeout=within_seconds)
            answer.raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RegistryUnavailable(
                self._masked(f"MLflow ({self.tracking_uri}) does not answer: {error}. ")
                + "The verified bundle on this host stays in use; look at the server if this lasts."
            ) from error

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
        """The client. Making it makes the tables of a new SQLite file, which two processes must not do at once."""
        from mlflow import MlflowClient

        quiet_after_import()
        address = hand_over_credentials(self.tracking_uri)
        if not self.tracking_uri.startswith("sqlite:///"):
            return MlflowClient(tracking_uri=address, registry_uri=address)
        folder = Path(self.tracking_uri.removeprefix("sqlite:///")).parent
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".tables.lock"):  # two steps of a plan that made the tables at once both failed
            client = MlflowClient(tracking_uri=address, registry_uri=address)
            self._model(client)  # the model registry is another store on the same file
            return client

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.model_name)
        if found is not None:
            return str(found.experiment_id)
        served = self.tracking_uri.startswith("http")
        location = None if served else self.artifact_root.resolve().as_uri()
        return str(client.create_experiment(self.model_name, artifact_location=location))

    def _ensure_model(self, client: Any) -> None:
        if self._model(client) is None:
            client.create_registered_model(self.model_name)

    def _model(self, client: Any) -> Any | None:
        """The registered model with its tags and aliases, None while nothing was registered.

        Asked for by name: a search for the name answers the same at three times the cost.
        """
        from mlflow.exceptions import MlflowException

        try:
            return client.get_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        return None

    def _masked(self, text: str) -> str:
        """`text` without the user and password of the tracking URI."""
        credentials, at, _ = urlparse(self.tracking_uri).netloc.rpartition("@")
        return text.replace(credentials + at, "") if at else text
