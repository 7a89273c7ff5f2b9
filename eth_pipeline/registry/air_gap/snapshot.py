"""A training snapshot: what a node without a network needs to train, as a signed folder of a fixed shape.

Belongs here: the shape, its name, which one a home trains from. Does not belong: making one
(`snapshot_export`), admitting one (`snapshot_import`).

    snapshot/
      snapshot.json            Snapshot: number, settings, versions, tries, champion, sha256 of every table
      tables/klines.parquet    rows of one lake table at one version; one file per table
      model.sig                OpenSSF model-signing signature over all of the above

Raw streams travel, not features: the node computes features and labels with its own code, which is the same code.
Beside them go the gap ledger (the column `clean` of features), the daily series of every configuration that was tried
and the champion's out-of-fold forecasts, which the report of a candidate is discounted by and compared with.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from eth_pipeline.contracts.artifact import SIGNATURE, Provenance
from eth_pipeline.contracts.model_tables import OOF_FORECASTS, TRIED_PNL
from eth_pipeline.contracts.quality import GAP_LEDGER
from eth_pipeline.contracts.table import TableContract
from eth_pipeline.contracts.tables import STREAMS
from eth_pipeline.errors import TransferRefused
from eth_pipeline.registry.bundles.archive import Shape
from eth_pipeline.registry.bundles.layout import MAX_JSON_BYTES
from eth_pipeline.registry.bundles.signing import Subject
from eth_pipeline.registry.bundles.verification import FINGERPRINT
from eth_pipeline.settings import BaseInterval

SNAPSHOT = "snapshot.json"
TABLES = "tables"
FOLDER = "snapshots"
IN_USE = "snapshot"
LAKE = "lake"
SETTINGS = "settings.toml"
TRAVELLING: dict[str, TableContract] = {
    **STREAMS,
    **{table.name: table for table in (GAP_LEDGER, TRIED_PNL, OOF_FORECASTS)},
}
"""Every table that a snapshot may hold, by name."""

_TABLE_FILE = re.compile(rf"{TABLES}/([a-z_]{{1,60}})\.parquet")
_AGAIN = "Nothing was kept. Export again on the signal host with `eth-pipeline bundle export --snapshot`."

SUBJECT = Subject("snapshot", "peer_public_keys", _AGAIN)


def _allowed(name: str) -> bool:
    found = _TABLE_FILE.fullmatch(name)
    return name in (SNAPSHOT, SIGNATURE) or (found is not None and found[1] in TRAVELLING)


SHAPE = Shape(
    noun="snapshot",
    allowed=_allowed,
    largest_bytes=lambda name: 2**33 if name.endswith(".parquet") else MAX_JSON_BYTES,
    most_bytes=2**34,
    most_members=len(TRAVELLING) + 2,
    again=_AGAIN,
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SnapshotTable(_Frozen):
    """One table: its version in the lake that was exported, its rows, and the bytes of its file."""

    version: int
    rows: int
    newest: AwareDatetime | None
    sha256: str


class ChampionFigures(_Frozen):
    """The bundle in production at the export: what a candidate has to beat on the hours that taught neither."""

    fingerprint: str = Field(pattern=f"^{FINGERPRINT.pattern}$")
    version: str
    oof_auc: float | None
    test_auc: float | None
    first_horizon_auc: float | None


class Snapshot(_Frozen):
    """What is in a snapshot and where it came from; its sha256 is its name.

    Attributes:
        number: counts the exports of one host; a node takes no smaller one than it has.
        exported_at: exchange time.
        settings: fully expanded, secrets masked; `config_digest` is their name.
        feature_schema: digest of the features that the exporting code computes.
        tries: configurations tried on this history before.
    """

    format: Literal[1] = 1
    number: int = Field(ge=1)
    exported_at: AwareDatetime
    host: str
    code_commit: str
    code_dirty: bool
    lock_digest: str
    symbol: str
    cross_symbols: tuple[str, ...]
    base_interval: BaseInterval
    provenance: Provenance
    settings: dict[str, Any]
    config_digest: str
    feature_schema: str
    tries: int = Field(ge=0)
    champion: ChampionFigures | None
    tables: dict[str, SnapshotTable]

    @property
    def digest(self) -> str:
        """sha256 of the content; the sha256 of every table is part of it."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def name(self) -> str:
        """`000007-3fa9c1d2e4b5`: for folders and people."""
        return f"{self.number:06d}-{self.digest[:12]}"


def read_snapshot(folder: Path) -> Snapshot:
    """The description of the snapshot in `folder`; proves nothing by itself.

    Raises:
        TransferRefused: it is missing or not in the expected shape.
    """
    try:
        return Snapshot.model_validate_json((folder / SNAPSHOT).read_bytes())
    except (OSError, ValidationError) as error:
        raise TransferRefused(
            f"{folder / SNAPSHOT} is no snapshot that this code reads: {error}. Run the same version of the code on "
            "both sides of the gap, and export again."
        ) from error


def snapshot_in_use(home: Path) -> Snapshot | None:
    """The snapshot that this home trains from; None on a host that has its own market data.

    Raises:
        TransferRefused: one is in use and cannot be read.
    """
    folder = home / IN_USE
    return read_snapshot(folder) if folder.is_symlink() else None


def snapshot_lake(home: Path, snapshot: Snapshot) -> Path:
    """The folder of the tables that came with `snapshot`, and of everything that was computed from them."""
    return home / FOLDER / snapshot.name / LAKE
