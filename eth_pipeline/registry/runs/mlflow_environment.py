"""How MLflow behaves inside our processes: no usage reports, short patience, no migration chatter.

Belongs here: what must be settled around MLflow's import. Does not belong: MLflow itself (`registry.mlflow_store`).
Variables are written here, never read: `settings` stays the only reader of the environment.
"""

import logging
import os

from eth_pipeline.settings.url_secrets import split_credentials

_CHATTY = ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry", "mlflow.tracking")


def settle_before_import() -> None:
    """Set what MLflow reads from the environment, where the operator has not set it.

    Nothing about our use leaves this host, and a server that is down is given up after seconds instead of MLflow's
    own minutes: the caller is tried again anyway.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def hand_over_credentials(tracking_uri: str) -> str:
    """`tracking_uri` as MLflow gets it: without the password of a server, which it finds in the environment instead.

    MLflow repeats the whole address in every error, and Dagster stores errors with all their causes.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return tracking_uri  # a database: its library leaves the password out of errors by itself
    address, credentials = split_credentials(tracking_uri)
    if credentials is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = credentials.user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = credentials.password
    return address


def quiet_after_import() -> None:
    """Turn the loggers down that report every table; MLflow turns its own up while it is imported."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
