"""Versions of the registered model: what their tags say, which of them the aliases name, their files.

Belongs here: reading a version, moving an alias, the anchor of the promotion log. Does not belong: making a version
(`store`), whether one may be named (`registry.promotions.promotion`, `registry.promotions.rollback`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from eth_pipeline.errors import BundleRefused
from eth_pipeline.registry.bundles.layout import bundle_files
from eth_pipeline.registry.bundles.served_folder import BUNDLE
from eth_pipeline.registry.bundles.verification import FINGERPRINT
from eth_pipeline.registry.log_head import LogHead
from eth_pipeline.registry.mlflow_store.connection import Connection

CANDIDATE = "candidate"
PRODUCTION = "production"
PREVIOUS = "previous"
_ANCHOR = "promotion_log_head"


@dataclass(frozen=True)
class RegisteredVersion:
    """One model version: its number, the run that made it, and the content and decision its tags name."""

    version: str
    run_id: str
    fingerprint: str
    decision_id: str = ""
    promoted: bool = False


class Versions(Connection):
    """The versions that are registered, and the names that move between them."""

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
            found = self._model(client)
            text = found.tags.get(_ANCHOR) if found is not None else None
        return LogHead.parse(text) if text else None

    def anchor_to(self, head: LogHead) -> None:
        """Remember `head` as the newest entry that is carried out.

        Raises:
            RegistryUnavailable: MLflow does not answer.
        """
        with self._reached("anchor the promotion log") as client:
            self._ensure_model(client)
            client.set_registered_model_tag(self.model_name, _ANCHOR, str(head))

    def _aliases(self, client: Any) -> dict[str, str]:
        """Alias to version; empty while nothing was registered."""
        found = self._model(client)
        return {alias: str(version) for alias, version in found.aliases.items()} if found is not None else {}

    def _model_version(self, version: str) -> Any:
        with self._reached(f"read version {version}") as client:
            from mlflow.exceptions import MlflowException

            try:
                return client.get_model_version(self.model_name, version)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
        raise BundleRefused(f"{self.model_name} has no version {version!r}. Choose one that the promotion log names.")
