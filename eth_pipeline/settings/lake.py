"""Settings of the lake's store.

Belongs here: the object store and its credentials, which locations are a lake. Does not belong: reading and writing
tables (`eth_pipeline.lake`).
"""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from eth_pipeline.settings.operator_file import read_operator_text
from eth_pipeline.settings.section import Section


class LakeStoreSettings(Section):
    """The object store of an `s3://` lake. What is empty is taken from the usual AWS_* variables or the host's role."""

    endpoint_url: str | None = Field(None, description="S3-compatible server; empty means AWS.")
    region: str | None = Field(None, description="Region of the bucket.")
    access_key_id: str | None = Field(None, description="Name of the key.")
    secret_access_key: SecretStr | None = Field(None, description="The key itself; never shown.")
    secret_access_key_file: Path | None = Field(
        None, description="File that holds the key; where `secret_access_key` is empty."
    )

    @field_validator("endpoint_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(("https://", "http://")) or "@" in value):
            raise ValueError("write it like https://store.example:9000, without a credential")
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> "LakeStoreSettings":
        if (self.access_key_id is None) != (self.secret_access_key is None and self.secret_access_key_file is None):
            raise ValueError("`access_key_id` and its secret belong together; set both, or neither")
        return self

    def options(self) -> dict[str, str]:
        """What the readers and writers of Delta tables are told.

        Raises:
            SettingsInvalid: the file of the key cannot be read.
        """
        told = {
            "aws_endpoint_url": self.endpoint_url,
            "aws_allow_http": "true" if (self.endpoint_url or "").startswith("http://") else None,
            "aws_region": self.region,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self._secret(),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _secret(self) -> str | None:
        if self.secret_access_key is not None:
            return self.secret_access_key.get_secret_value()
        if self.secret_access_key_file is None:
            return None
        remedy = "Name a file this user may read, or unset it."
        named = "lake_store.secret_access_key_file:"
        return read_operator_text(self.secret_access_key_file, what=named, remedy=remedy).strip()


def known_lake(location: str) -> str:
    """`location` as the lake takes it: a folder, or `s3://bucket/prefix`.

    Raises:
        ValueError: another scheme, no bucket, or a credential inside. Delta answers "no table" for a scheme that it
            does not know, so a slip of the pen would look like an empty lake.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        if location.startswith(("s3:", "file:")):
            raise ValueError(f"{location!r} lacks the two slashes of {location.partition(':')[0]}://")
        return location
    if scheme == "file":
        return rest
    if scheme != "s3":
        raise ValueError(f"scheme {scheme}:// is not known; a lake is a folder, file:///folder or s3://bucket/prefix")
    if "@" in rest:
        raise ValueError("a URL is shown in dumps and logs; put the credential into `lake_store`")
    if not rest.partition("/")[0]:
        raise ValueError("s3:// names no bucket; write s3://bucket/prefix")
    return location
