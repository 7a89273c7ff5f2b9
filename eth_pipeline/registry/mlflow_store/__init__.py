"""The model registry: MLflow, and the only import of it in the package.

Belongs here: runs, model versions, aliases, artifacts. Does not belong: verdicts, verification, the local copy.

Embedded it is a SQLite file and a folder of artifacts; in production the tracking URI names a server. MLflow is
imported on first use (about 2.5 s), the first use of a new SQLite file also creates its tables (about 2 s), so the
hourly path never comes here.

Aliases: `candidate` is the newest registered bundle, promoted or not; `production` the one that may run online;
`previous` the one that `production` named before.
"""

from eth_pipeline.registry.mlflow_store.store import RegistryStore
from eth_pipeline.registry.mlflow_store.versions import CANDIDATE, PREVIOUS, PRODUCTION, RegisteredVersion

__all__ = ["CANDIDATE", "PREVIOUS", "PRODUCTION", "RegisteredVersion", "RegistryStore"]
