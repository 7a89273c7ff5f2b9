"""A collection: the candidates that a node trained from one snapshot and what tells of them, as a signed folder.

Belongs here: the shape. Does not belong: making one (`collection_export`), admitting one
(`collection_import`).

    collection/
      collection.json               Collection: which snapshot, node, code, runs, candidates
      runtime_manifest.json         what was running on the node
      tried.parquet                 daily series of every configuration that was tried, the rejected ones too
      logs/<name>.log               the ends of its logs
      candidates/<fingerprint>/
        bundle/                     the bundle, undecided: the signal host decides
        oof.parquet                 its out-of-fold forecasts
        plots/<name>.png
        node_decision.json          what the node's own gates said, where somebody asked them (optional)
      model.sig                     OpenSSF model-signing signature over all of the above
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.contracts.artifact import DECISION, SIGNATURE
from eth_pipeline.errors import TransferRefused
from eth_pipeline.registry.bundles.archive import Shape
from eth_pipeline.registry.bundles.layout import MAX_JSON_BYTES, MAX_MODEL_BYTES, allowed_name
from eth_pipeline.registry.bundles.signing import Subject
from eth_pipeline.registry.bundles.verification import FINGERPRINT

COLLECTION = "collection.json"
RUNTIME_MANIFEST = "runtime_manifest.json"
TRIED = "tried.parquet"
LOGS = "logs"
CANDIDATES = "candidates"
BUNDLE = "bundle"
OOF = "oof.parquet"
PLOTS = "plots"
NODE_DECISION = "node_decision.json"
MAX_CANDIDATES = 64

_CANDIDATE_FILE = re.compile(rf"{CANDIDATES}/{FINGERPRINT.pattern}/(.+)")
_PLOT = re.compile(rf"{PLOTS}/[a-z0-9_]{{1,60}}\.png")
_LOG = re.compile(rf"{LOGS}/[A-Za-z0-9_-]{{1,100}}\.log")
_AGAIN = "Nothing was kept. Collect again on the node with `eth-pipeline bundle collect`."

SUBJECT = Subject("collection", "peer_public_keys", _AGAIN)


def _allowed(name: str) -> bool:
    found = _CANDIDATE_FILE.fullmatch(name)
    if found is None:
        return name in (COLLECTION, RUNTIME_MANIFEST, TRIED, SIGNATURE) or _LOG.fullmatch(name) is not None
    inner = found[1]
    if inner.startswith(f"{BUNDLE}/"):
        return undecided(inner.removeprefix(f"{BUNDLE}/"))
    return inner in (OOF, NODE_DECISION) or _PLOT.fullmatch(inner) is not None


def undecided(name: str) -> bool:
    """True for a file that a bundle has before anybody decided about it."""
    return allowed_name(name) and name not in (DECISION, SIGNATURE)


def _largest_bytes(name: str) -> int:
    return MAX_MODEL_BYTES if name.endswith((".onnx", ".parquet")) else MAX_JSON_BYTES


SHAPE = Shape(
    noun="collection",
    allowed=_allowed,
    largest_bytes=_largest_bytes,
    most_bytes=2**33,
    most_members=MAX_CANDIDATES * 64,
    again=_AGAIN,
)


_Asset = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
_RunId = Annotated[str, Field(max_length=100)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CollectedCandidate(_Frozen):
    """One candidate; `runs` are the node's Dagster runs by asset, `parameters_digest` names its hyperparameters."""

    fingerprint: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    algorithm: str
    parameters_digest: str
    trained_until: AwareDatetime
    tries: int
    verdict: str
    runs: dict[_Asset, _RunId]


class Collection(_Frozen):
    """What is in a collection, from which snapshot, by which code on which node; its sha256 is its name.

    Attributes:
        candidates: oldest first; the last is the newest.
        settings: of the node, fully expanded, secrets masked; `config_digest` is their name.
    """

    format: Literal[1] = 1
    snapshot_number: int = Field(ge=1)
    snapshot_digest: str
    feature_schema: str
    node: str = Field(max_length=255)
    collected_at: AwareDatetime
    code_commit: str
    code_dirty: bool
    settings: dict[str, Any]
    config_digest: str
    candidates: tuple[CollectedCandidate, ...] = Field(min_length=1, max_length=MAX_CANDIDATES)

    @property
    def digest(self) -> str:
        """sha256 of the content."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


def read_collection(folder: Path) -> Collection:
    """The description of the collection in `folder`; proves nothing by itself.

    Raises:
        TransferRefused: it is missing or not in the expected shape.
    """
    try:
        return Collection.model_validate_json((folder / COLLECTION).read_bytes())
    except (OSError, ValidationError) as error:
        raise TransferRefused(
            f"{folder / COLLECTION} is no collection that this code reads: {error}. Run the same version of the code "
            "on both sides of the gap, and collect again."
        ) from error
