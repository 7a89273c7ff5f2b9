"""Thirty ways to tamper with a bundle on its way to this host: each is refused with its own error.

On a real home, a real MLflow and real ONNX, and the bundle before goes on forecasting.
"""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eth_pipeline.contracts.artifact import PromotionDecision
from eth_pipeline.errors import (
    ArchiveRefused,
    BundleExpired,
    BundleRefused,
    DecisionRefused,
    HashMismatch,
    ModelRefused,
    SchemaMismatch,
    SignatureRefused,
)
from eth_pipeline.registry.bundles.archive import pack_bundle, unpack_bundle
from eth_pipeline.registry.bundles.bundle import attach_decision, fingerprint
from eth_pipeline.registry.bundles.signing import sign_folder
from eth_pipeline.registry.mlflow_store import RegistryStore
from eth_pipeline.registry.promotions.production import current_bundle, materialize_production
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline_tests.registry_maker import (
    NOW,
    candidate,
    decision,
    expected,
    key_pair,
    promoted,
    registry_folder,
    tiny_model,
)

MODEL = "models/lightgbm_5h.onnx"


@dataclass(frozen=True)
class Scene:
    """A home that runs version 1, and a registry whose production is version 2, whose files an attacker can reach."""

    store: RegistryStore
    home: Path
    keys: Path
    arriving: Path

    def probability(self) -> float:
        """A forecast of the bundle in use, by ONNX Runtime."""
        import onnxruntime

        found = current_bundle(home=self.home, **expected(self.keys)).bundle
        session = onnxruntime.InferenceSession((found.folder / MODEL).read_bytes())
        (answer,) = session.run(["probability"], {"features": np.ones((1, 2), dtype=np.float32)})
        return float(answer[0])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Path]:
    """The scene, and a copy of version 2 as it was registered."""
    folder = tmp_path_factory.mktemp("scene")
    registry = registry_folder(tmp_path_factory)
    store = RegistryStore(f"sqlite:///{registry / 'mlflow.db'}", artifact_root=registry / "artifacts")
    home, keys = folder / "home", key_pair(folder / "keys")
    log = PromotionLog.of(home)
    for name in ("a", "b"):
        figures = candidate(folder / name, content=name.encode())
        made = decision(folder / name, figures)
        attach_decision(folder / name, made, private_key=keys / "bundle.key")
        version = store.register_candidate(folder / name, report=figures, decision=made, run_tags={}, params={})
        log.append(decision=made, version=version.version, run_id="run", at=NOW)
        store.promote(version.version)
        if name == "a":
            materialize_production(store, home=home, **expected(keys))
    with store._reached("find the files of version 2 as an attacker would") as client:
        source = client.get_model_version(store.model_name, "2").source
    arriving = Path(source.removeprefix("file://")) / "bundle"
    shutil.copytree(arriving, folder / "intact")
    return Scene(store, home, keys, arriving), folder / "intact"


@pytest.fixture
def scene(prepared: tuple[Scene, Path]) -> Iterator[Scene]:
    """The scene before the attack; version 2 is made whole again afterwards."""
    made, intact = prepared
    yield made
    if made.arriving.is_symlink():
        made.arriving.unlink()
    shutil.rmtree(made.arriving, ignore_errors=True)
    shutil.copytree(intact, made.arriving)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flipped(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, keys: flip(folder / name)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def resign(folder: Path, keys: Path) -> None:
    sign_folder(folder, private_key=keys / "bundle.key")


def decide_again(folder: Path, keys: Path) -> None:
    """A thief of the signing key makes the decision about the changed content as well."""
    path = folder / "promotion_decision.json"
    made = PromotionDecision.model_validate_json(path.read_text())
    attach_decision(
        folder,
        made.model_copy(update={"candidate_fingerprint": fingerprint(folder)}),
        private_key=keys / "bundle.key",
    )


def swap_models(folder: Path, keys: Path) -> None:
    first, second = folder / "models/lightgbm_5h.onnx", folder / "models/lightgbm_12h.onnx"
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def old_signature(folder: Path, keys: Path) -> None:
    old = (folder / "model.sig").read_bytes()
    (folder / MODEL).write_bytes(tiny_model(b"new content"))
    resign(folder, keys)
    (folder / "model.sig").write_bytes(old)


def other_key(folder: Path, keys: Path) -> None:
    foreign = folder.parent / "foreign"
    shutil.rmtree(foreign, ignore_errors=True)
    resign(folder, key_pair(foreign))


def refused_made_promoted(folder: Path, keys: Path) -> None:
    path = folder / "promotion_decision.json"
    gates = json.loads(path.read_text())["gates"]
    edit_json(path, gates=[{**gates[0], "passed": False}, *gates[1:]])
    resign(folder, keys)


def replayed(folder: Path, keys: Path) -> None:
    """An older bundle, signed and promoted in its day, under the number of a newer one."""
    shutil.rmtree(folder)
    promoted(folder, keys, content=b"a")


def linked(folder: Path, keys: Path) -> None:
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to("/etc/hostname")


def huge(folder: Path, keys: Path) -> None:
    with (folder / MODEL).open("wb") as stream:
        stream.truncate(300 * 2**20)  # sparse: no bytes on disk


def no_model(folder: Path, keys: Path) -> None:
    (folder / MODEL).write_bytes(b"\xff\xff\xffno model")
    decide_again(folder, keys)


def remodelled(change: Callable[[Any], None]) -> Callable[[Path, Path], None]:
    """Change the ONNX protobuf of one model, then decide and sign as a thief of the key would."""

    def tamper(folder: Path, keys: Path) -> None:
        import onnx

        model = onnx.load_from_string((folder / MODEL).read_bytes())
        change(model)
        (folder / MODEL).write_bytes(model.SerializeToString())
        decide_again(folder, keys)

    return tamper


def external_data(model: Any) -> None:
    from onnx import TensorProto, external_data_helper

    weights = model.graph.initializer[0]
    external_data_helper.set_external_data(weights, location="../../../../etc/passwd")
    weights.data_location = TensorProto.EXTERNAL
    weights.ClearField("raw_data")


def custom_operator(model: Any) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)


def hidden_operator(model: Any) -> None:
    """In a branch of an `If`, where a look at the top of the graph does not reach."""
    from onnx import TensorProto, helper, numpy_helper

    branches = [
        helper.make_graph(
            [helper.make_node("Steal", [], [f"{name}_out"], domain="com.example")],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [1])],
        )
        for name in ("yes", "no")
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    model.graph.node.append(
        helper.make_node("If", ["always"], ["unused"], then_branch=branches[0], else_branch=branches[1])
    )


def own_function(model: Any) -> None:
    from onnx import helper

    body = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("here", "Twice", ["x"], ["y"], [body], [helper.make_opsetid("", 17)]))


def renamed_input(model: Any) -> None:
    model.graph.input[0].name = "prices"
    model.graph.node[0].input[0] = "prices"


def renamed_output(model: Any) -> None:
    model.graph.output[0].name = "answer"
    model.graph.node[-1].output[0] = "answer"


def wider_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def half_precision(model: Any) -> None:
    from onnx import TensorProto

    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def newer_opset(model: Any) -> None:
    model.opset_import[0].version = 21


def broken_graph(model: Any) -> None:
    model.graph.node[0].input[1] = "nowhere"


def contract_edit(**changes: object) -> Callable[[Path, Path], None]:
    def tamper(folder: Path, keys: Path) -> None:
        edit_json(folder / "runtime_contract.json", **changes)
        decide_again(folder, keys)

    return tamper


Tamper = Callable[[Path, Path], None]
TABLE: list[tuple[str, Tamper, type[BundleRefused], str]] = [
    ("a bit of a model", flipped(MODEL), HashMismatch, r"lightgbm_5h\.onnx"),
    ("a bit of the other model", flipped("models/lightgbm_12h.onnx"), HashMismatch, r"lightgbm_12h\.onnx"),
    ("a bit of the contract", flipped("runtime_contract.json"), HashMismatch, r"runtime_contract\.json"),
    ("a bit of the figures", flipped("metrics.json"), HashMismatch, r"metrics\.json"),
    ("a bit of the data versions", flipped("data.json"), HashMismatch, r"data\.json"),
    ("a bit of the decision", flipped("promotion_decision.json"), HashMismatch, r"promotion_decision\.json"),
    ("a bit of the signature", flipped("model.sig"), SignatureRefused, r"model\.sig"),
    ("two models swapped", swap_models, HashMismatch, "Hash mismatch"),
    ("an old signature", old_signature, HashMismatch, r"lightgbm_5h\.onnx"),
    ("another key", other_key, SignatureRefused, "not pinned"),
    ("no signature", lambda f, k: (f / "model.sig").unlink(), SignatureRefused, r"carries no model\.sig"),
    ("no decision", lambda f, k: (f / "promotion_decision.json").unlink(), DecisionRefused, "nobody decided"),
    ("no contract", lambda f, k: (f / "runtime_contract.json").unlink(), HashMismatch, "no complete bundle"),
    ("a decision edited to promoted", refused_made_promoted, DecisionRefused, "n_samples"),
    ("an older bundle replayed", replayed, DecisionRefused, "tagged with bundle"),
    ("a script added", lambda f, k: (f / "load.py").write_text("import os") and None, HashMismatch, "was added"),
    ("a link instead of a model", linked, BundleRefused, "symbolic link"),
    ("a huge model", huge, BundleRefused, "more than the .* a bundle file may have"),
    ("a model that is none", no_model, ModelRefused, "is no ONNX model"),
    ("weights outside the file", remodelled(external_data), ModelRefused, "etc/passwd.*no signature covers"),
    ("a custom operator", remodelled(custom_operator), ModelRefused, r"custom operators \['com\.example\.Gemm'\]"),
    ("a custom operator in a branch", remodelled(hidden_operator), ModelRefused, r"com\.example\.Steal"),
    ("a function of its own", remodelled(own_function), ModelRefused, "functions of its own"),
    ("another operator set", remodelled(newer_opset), ModelRefused, "says operator set 17"),
    ("a renamed input", remodelled(renamed_input), ModelRefused, "takes the inputs .prices"),
    ("a renamed output", remodelled(renamed_output), ModelRefused, r"answers \['answer'\]"),
    ("another number of inputs", remodelled(wider_input), ModelRefused, "rows of shape .3,."),
    ("half precision", remodelled(half_precision), ModelRefused, "features: float16"),
    ("a graph that does not hold", remodelled(broken_graph), ModelRefused, "no valid ONNX graph"),
    (
        "an expiry that has passed",
        contract_edit(expires_at=(NOW - timedelta(hours=1)).isoformat()),
        BundleExpired,
        "expired at",
    ),
    ("other origin than decided", contract_edit(provenance="replay"), DecisionRefused, "made about binance data"),
    ("other features", contract_edit(feature_schema="0" * 64), SchemaMismatch, "feature schema"),
]


@pytest.mark.parametrize(("tamper", "error", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_tampered_successor_is_refused_and_the_bundle_before_goes_on_forecasting(
    scene: Scene, tamper: Tamper, error: type[BundleRefused], words: str
) -> None:
    before = scene.probability()
    tamper(scene.arriving, scene.keys)
    with pytest.raises(BundleRefused, match=words) as refusal:
        materialize_production(scene.store, home=scene.home, **expected(scene.keys))
    assert refusal.type is error
    assert current_bundle(home=scene.home, **expected(scene.keys)).version == "1"
    assert scene.probability() == before
    kept = {path.name for path in (scene.home / "production").iterdir() if path.is_dir()}
    assert len(kept) == 1, "nothing of the refused bundle stays behind"


def test_simulated_data_cannot_arrive_in_live(scene: Scene) -> None:
    contract = json.loads((scene.arriving / "runtime_contract.json").read_text())
    (scene.arriving / "runtime_contract.json").write_text(json.dumps({**contract, "provenance": "simulated"}))
    edit_json(scene.arriving / "promotion_decision.json", provenance="simulated", phase="live")
    decide_again(scene.arriving, scene.keys)
    with pytest.raises(DecisionRefused, match="live runs on binance data only"):
        materialize_production(scene.store, home=scene.home, **expected(scene.keys, phase="live"))


def member(name: str, content: bytes = b"x", *, mode: int = stat.S_IFREG | 0o644) -> tuple[zipfile.ZipInfo, bytes]:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, mode << 16
    return made, content


ARCHIVES: list[tuple[str, list[tuple[zipfile.ZipInfo, bytes]], str]] = [
    ("a path upwards", [member("../../keys/bundle.pub")], "leads out of the bundle"),
    ("an absolute path", [member("/etc/cron.d/x")], "leads out of the bundle"),
    ("a path of another system", [member("models\\..\\x.onnx")], "leads out of the bundle"),
    ("a link", [member("metrics.json", b"/etc/passwd", mode=stat.S_IFLNK | 0o777)], "a link or special file"),
    ("a foreign file", [member("load.py")], "which no bundle has"),
    ("a folder", [member("models/")], "which no bundle has"),
    ("too many files", [member(f"models/m{n}.onnx") for n in range(80)], "80 members, more than"),
    ("one name twice", [member("metrics.json"), member("metrics.json", b"y")], "one name twice"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("members", "words"), [row[1:] for row in ARCHIVES], ids=[row[0] for row in ARCHIVES])
def test_an_archive_with_foreign_members_is_refused_and_leaves_nothing(
    tmp_path: Path, members: list[tuple[zipfile.ZipInfo, bytes]], words: str
) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for info, content in members:
            packed.writestr(info, content)
    with pytest.raises(ArchiveRefused, match=words):
        unpack_bundle(archive, tmp_path / "here" / "bundle")
    assert list((tmp_path / "here").iterdir()) == []
    assert not (tmp_path / "keys").exists()


def test_a_zip_bomb_is_refused_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("models/a.onnx", bytes(50 * 2**20))
    assert archive.stat().st_size < 100_000
    with pytest.raises(ArchiveRefused, match=r"compressed or encrypted .* bytes that become 52428800"):
        unpack_bundle(archive, tmp_path / "bundle")


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """Many names for the same bytes: the other kind of zip bomb, without any compression."""
    archive = tmp_path / "overlap.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("models/a.onnx", bytes(100_000))
        first = packed.infolist()[0]
        for name in ("models/b.onnx", "models/c.onnx"):
            twin = zipfile.ZipInfo(name)
            for slot in ("CRC", "compress_size", "file_size", "header_offset", "external_attr", "create_system"):
                setattr(twin, slot, getattr(first, slot))
            packed.filelist.append(twin)
            packed.NameToInfo[name] = twin
    with pytest.raises(ArchiveRefused, match="overlap"):
        unpack_bundle(archive, tmp_path / "bundle")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", os.urandom(4096)])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ArchiveRefused):
        unpack_bundle(tmp_path / "x.zip", tmp_path / "bundle")


def test_a_bundle_travels_byte_for_byte_and_packs_the_same_everywhere(tmp_path: Path) -> None:
    promoted(tmp_path / "bundle", key_pair(tmp_path / "keys"))
    first = pack_bundle(tmp_path / "bundle", tmp_path / "one.zip").read_bytes()
    arrived = unpack_bundle(tmp_path / "one.zip", tmp_path / "elsewhere" / "bundle")
    assert fingerprint(arrived) == fingerprint(tmp_path / "bundle")
    assert (arrived / "model.sig").read_bytes() == (tmp_path / "bundle" / "model.sig").read_bytes()
    os.utime(arrived / "metrics.json", (1, 1))
    (arrived / "data.json").chmod(0o600)
    assert pack_bundle(arrived, tmp_path / "two.zip").read_bytes() == first


def test_an_archive_is_never_unpacked_over_something(tmp_path: Path) -> None:
    promoted(tmp_path / "bundle", key_pair(tmp_path / "keys"))
    pack_bundle(tmp_path / "bundle", tmp_path / "one.zip")
    with pytest.raises(ArchiveRefused, match=r"Unpack one\.zip into a new folder"):
        unpack_bundle(tmp_path / "one.zip", tmp_path / "bundle")
