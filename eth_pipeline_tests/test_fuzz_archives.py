"""Any byte, file or name of a signed bundle changed, any bytes as an archive or a log: refused, and nothing is left.

The table of attacks by hand is in `test_registry_tampering`; here chance looks for the one that nobody thought of.
"""

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eth_pipeline.errors import ArchiveRefused, BundleRefused, ContractViolation
from eth_pipeline.registry.air_gap import collection, snapshot
from eth_pipeline.registry.bundles.archive import BUNDLE, Shape, pack_bundle, unpack
from eth_pipeline.registry.bundles.verification import read_decision, verify_bundle
from eth_pipeline.registry.promotions.promotion_log import PromotionLog
from eth_pipeline_tests.damage import damaged
from eth_pipeline_tests.registry_maker import NOW, expected, key_pair, promoted

SHORT = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = (BUNDLE, snapshot.SHAPE, collection.SHAPE)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signed bundle that verifies, and the folder of its keys."""
    folder = tmp_path_factory.mktemp("fuzz")
    keys = key_pair(folder / "keys")
    promoted(folder / "bundle", keys)
    verify_bundle(folder / "bundle", **expected(keys))
    return folder / "bundle", keys


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def copied(intact: tuple[Path, Path], tmp_path: Path) -> tuple[Callable[[], Path], Path]:
    """A function that gives a fresh copy of the bundle, and its keys."""
    bundle, keys = intact

    def fresh() -> Path:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        return Path(shutil.copytree(bundle, tmp_path / "copy", symlinks=True))

    return fresh, keys


@pytest.mark.parametrize("name", ["data.json", "metrics.json", "model.sig", "models/lightgbm_5h.onnx"])
def test_any_damage_to_any_byte_of_a_bundle_is_refused(copied: tuple[Callable[[], Path], Path], name: str) -> None:
    fresh, keys = copied
    folder = fresh()
    good = (folder / name).read_bytes()

    @SHORT
    @given(damaged([good]))
    def ask(content: bytes) -> None:
        (folder / name).write_bytes(content)
        if content == good:
            return
        with pytest.raises(BundleRefused) as refused:
            verify_bundle(folder, **expected(keys))
        assert len(str(refused.value)) > 40

    ask()
    (folder / name).write_bytes(good)
    verify_bundle(folder, **expected(keys))


def test_a_signature_of_any_json_shape_is_refused(copied: tuple[Callable[[], Path], Path]) -> None:
    """Valid JSON with a field of another type reaches deeper into the library than damaged bytes do."""
    fresh, keys = copied
    folder = fresh()
    good = json.loads((folder / "model.sig").read_bytes())
    places = [("mediaType",), ("verificationMaterial",), ("verificationMaterial", "publicKey"), ("dsseEnvelope",)]
    places += [("verificationMaterial", "publicKey", "hint"), ("verificationMaterial", "tlogEntries")]
    places += [("dsseEnvelope", key) for key in good["dsseEnvelope"]]
    places += [("dsseEnvelope", "signatures", 0), ("dsseEnvelope", "signatures", 0, "sig")]
    values = st.none() | st.integers() | st.text(max_size=6) | st.lists(st.integers(), max_size=2) | st.just({})

    @SHORT
    @given(st.sampled_from(places), values)
    def ask(place: tuple[str | int, ...], value: object) -> None:
        changed = json.loads(json.dumps(good))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if inner[place[-1]] == value or place == ("verificationMaterial", "tlogEntries"):
            return  # no entry of a transparency log is asked for: a key is pinned instead
        inner[place[-1]] = value
        (folder / "model.sig").write_text(json.dumps(changed))
        with pytest.raises(BundleRefused):
            verify_bundle(folder, **expected(keys))

    ask()


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def link(path: Path) -> None:
    """The same bytes, by way of somewhere else."""
    outside = next(parent for parent in path.parents if parent.name == "copy").with_name("outside")
    shutil.move(path, outside)
    path.symlink_to(outside)


def hard_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_case(path: Path) -> None:
    path.rename(path.with_name(path.name.upper()))


def hidden(path: Path) -> None:
    shutil.copyfile(path, path.with_name(f".{path.name}"))


def added(path: Path) -> None:
    path.with_name("added.onnx").write_bytes(b"x")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES = (remove, truncate, empty, link, hard_folder, other_case, hidden, added, fifo)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_any_file_of_a_bundle_that_is_not_as_it_was_is_refused(
    copied: tuple[Callable[[], Path], Path], change: Callable[[Path], None]
) -> None:
    fresh, keys = copied
    names = files_of(fresh())
    assert len(names) > 5
    for name in names:
        folder = fresh()
        change(folder / name)
        with pytest.raises(BundleRefused):
            verify_bundle(folder, **expected(keys))


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.noun for shape in SHAPES])
def test_any_bytes_as_an_archive_are_refused_and_leave_nothing(
    intact: tuple[Path, Path], tmp_path: Path, shape: Shape
) -> None:
    """What is unpacked is whole and is one of the shape's files; what is refused leaves no file and no folder."""
    bundle, _ = intact
    good = pack_bundle(bundle, tmp_path / "good.zip").read_bytes()
    tail = len(good) - 1200  # the directory of a zip is at its end

    @SHORT
    @given(damaged([good]) | damaged([good[tail:], good[:2000]]) | st.binary(max_size=40))
    @example(b"PK\x05\x06" + bytes(8) + b"\x10\x00\x00\x00\xff\x00\x00\x00\x00\x00")
    @example(
        good.replace(b"data.json", b"d\xc3(a.json").replace(b"\x14\x03\x14\x00\x00\x00", b"\x14\x03\x14\x00\x00\x08")
    )
    def ask(content: bytes) -> None:
        room = tmp_path / "room"
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        (tmp_path / "some.zip").write_bytes(content)
        before = files_of(tmp_path)
        try:
            unpack(tmp_path / "some.zip", room / "new", shape=shape)
        except ArchiveRefused as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert "some.zip" in refusal
            assert shape.again in refusal
            assert list(room.iterdir()) == []
            assert files_of(tmp_path) == before
            return
        assert all(shape.allowed(name) for name in files_of(room / "new"))
        if shape is BUNDLE and files_of(room / "new") == files_of(bundle):
            changed = any(
                (room / "new" / name).read_bytes() != (bundle / name).read_bytes() for name in files_of(bundle)
            )
            assert not changed, "a zip has a checksum of every member"

    ask()


def test_any_damage_to_the_promotion_log_is_noticed(intact: tuple[Path, Path], tmp_path: Path) -> None:
    """Every change is named by its line; a cut at the end of a line leaves a shorter chain: the anchor notices that."""
    log = PromotionLog(tmp_path / "promotions.jsonl")
    decision = read_decision(intact[0])
    for number in range(3):
        log.append(decision=decision, version=str(number), run_id="run", at=NOW + timedelta(hours=number))
    good = log.path.read_bytes()
    prefixes = {b"", *(b"".join(good.splitlines(keepends=True)[:count]) for count in (1, 2, 3))}

    @SHORT
    @given(damaged([good]))
    @example(good.replace(b"run", b"r\xffn", 1))
    @example(good[:-1])
    def ask(content: bytes) -> None:
        log.path.write_bytes(content)
        if content in prefixes:
            assert len(log.verify()) < 3 or content == good
            return
        try:
            kept = log.verify()
        except ContractViolation as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert "is broken at line" in refusal
            return
        lines = [json.loads(line) for line in good.splitlines()]
        assert [json.loads(entry.model_dump_json()) for entry in kept] == lines[: len(kept)], (
            "another spelling, at most"
        )

    ask()
    log.path.write_bytes(good)
    assert len(log.verify()) == 3
