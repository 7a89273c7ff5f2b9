"""Arbitrary bytes at every parser of the exchange: a value that reads back, or one of our errors; nothing else, ever.

What coverage-guided fuzzing found (`fuzz/parsers.py`) stands here with its bytes.
"""

import json
import tracemalloc
import zipfile
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eth_pipeline.contracts.tables import KLINES, STREAMS
from eth_pipeline.errors import ChecksumMismatch, ContractViolation
from eth_pipeline.exchange.archive import MAX_MEMBER_BYTES, _only_member, _published_sha256
from eth_pipeline.exchange.doubts.quarantine import split
from eth_pipeline.exchange.formats.bars import bars_from_api, bars_from_csv
from eth_pipeline.exchange.formats.funding import funding_from_api
from eth_pipeline_tests.damage import damaged
from eth_pipeline_tests.parser_targets import DAY, FILE, QUARTER, TARGETS, Target

BY_NAME = {target.name: target for target in TARGETS}
SHORT = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["nan", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_bytes_from_outside_are_read_or_refused_and_nothing_else(target: Target) -> None:
    @SHORT
    @given(damaged(target.seeds) | st.binary(max_size=60))
    def ask(content: bytes) -> None:
        target.survives(content)

    assert any(target.survives(seed) for seed in target.seeds), "the seeds must reach the code behind the refusals"
    ask()


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.endswith("in an answer")])
def test_an_answer_of_any_json_shape_is_read_or_refused(name: str) -> None:
    """A field of another type, a row that is none, an object where a list is documented."""
    target = BY_NAME[name]
    (row,) = json.loads(target.seeds[0])

    @SHORT
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        changed: Any = row.copy()
        for _ in range(data.draw(st.integers(1, 2))):
            changed[data.draw(st.sampled_from(range(len(row)) if isinstance(row, list) else sorted(row)))] = data.draw(
                VALUES
            )
        payload = data.draw(st.sampled_from([[row, changed], [changed], changed]) | VALUES)
        target.survives(json.dumps(payload).encode())

    ask()


METRICS_HEAD = b"create_time,symbol,a,b,c,d,e,f\n"
METRICS_LINE = b",ETHUSDT,1.5,1000.0,1,1,1,1\n"
FOUND = [
    ("zip", b"PK\x05\x06" + bytes(8) + b"\x10\x00\x00\x00\xff\x00\x00\x00\x00\x00", "no readable zip"),
    ("zip", BY_NAME["zip"].seeds[4], "stored or deflated"),
    ("zip", BY_NAME["zip"].seeds[5], "stored or deflated"),
    ("zip", BY_NAME["zip"].seeds[6], "holds 2 files instead of one"),
    ("zip", BY_NAME["zip"].seeds[2].replace("é".encode(), b"\xc3("), "no readable zip"),
    ("checksum", b"x" * 64 + b"  " + FILE.name.encode(), "File not used"),
    ("funding in a file", b'calc_time,a,b\n1740787200000,8,0.0001\n"', "calc_time|CSV|columns"),
    ("funding in a file", b"9223372036854775807,8,0.1", "lie outside of 1970 .. 2200"),
    ("metrics in a file", METRICS_HEAD + b"-125-03-01 00:55:00" + METRICS_LINE, "lie outside of 1970"),
    ("metrics in a file", b"2025-13-01 00:00:00" + METRICS_LINE, "no `YYYY-MM-DD HH:MM:SS`"),
    ("bars in an answer", b"null", "NoneType instead of a list"),
    ("bars in an answer", b"[-5]", "arrays of 12 fields"),
    ("bars in an answer", b"{}", "dict instead of a list"),
    ("open interest in an answer", b'[{"timestamp": "\\ud800", "sumOpenInterest": "5"}]', "not the documented fields"),
]


@pytest.mark.parametrize(("name", "content", "words"), FOUND)
def test_what_was_found_is_refused_in_words(name: str, content: bytes, words: str) -> None:
    """ValueError, OSError and LZMAError out of `zipfile`, a panic of polars, years that datetime does not know."""
    with pytest.raises((ContractViolation, ChecksumMismatch), match=words):
        BY_NAME[name].ask(content)


def test_an_empty_object_is_no_answer_without_rows() -> None:
    """An answer without rows ends a range: `{}` read as one would have closed a gap that is there."""
    for read in (lambda p: bars_from_api(p, interval=QUARTER), funding_from_api):
        with pytest.raises(ContractViolation, match="dict instead of a list"):
            read({})  # type: ignore[arg-type]  # the wrong type is the point


def test_a_quotation_mark_is_a_character() -> None:
    """As a quote, a lone one at the end of a file made polars panic, which passes every `except Exception`."""
    line = BY_NAME["bars in a file"].seeds[0].rstrip(b"\n")
    bars = bars_from_csv(line[:-1] + b'"', FILE, interval=QUARTER)
    assert bars["open_time"].to_list() == [DAY]


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A file of 300 MB of zeros in 300 kB."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made, made.open("a.csv", "w") as stream:
        for _ in range(300):
            stream.write(bytes(2**20))
    return buffer.getvalue()


@pytest.mark.parametrize(("claimed_bytes", "words"), [(None, "unpacks to 314572800 bytes"), (1000, "no readable zip")])
def test_a_bomb_is_not_unpacked(bomb: bytes, claimed_bytes: int | None, words: str) -> None:
    """Not where it says how large it is, and not where it lies: more than it claims is never read."""
    content = bomb
    if claimed_bytes is not None:
        real = (300 * 2**20).to_bytes(4, "little")
        assert content.count(real) == 2
        content = content.replace(real, claimed_bytes.to_bytes(4, "little"))
    assert len(content) < 2**20 < MAX_MEMBER_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(ContractViolation, match=words):
            _only_member(content, FILE)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 10 * 2**20


def test_a_name_in_a_zip_is_never_a_path() -> None:
    assert _only_member(BY_NAME["zip"].seeds[3], FILE).startswith(b"1,2,3")


def test_a_published_digest_is_hexadecimal() -> None:
    """Sixty-four other characters made every look say that the file had been replaced."""
    assert _published_sha256(b"AB" * 32 + b"  " + FILE.name.encode(), FILE) == "ab" * 32
    with pytest.raises(ChecksumMismatch):
        _published_sha256(b"zz" * 32 + b"  " + FILE.name.encode(), FILE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", ["close", "volume", "quote_volume"])
def test_a_number_that_is_none_is_set_aside(column: str, value: float) -> None:
    """Polars orders NaN above every number, so `nan` in a file passed `> 0` and was stored as a price."""
    bars = bars_from_csv(BY_NAME["bars in a file"].seeds[0], FILE, interval=QUARTER).with_columns(
        pl.lit("ETHUSDT").alias("symbol"),
        pl.lit("15m").alias("interval"),
        pl.lit("archive").alias("source"),
        pl.lit("binance").alias("provenance"),
    )
    good, _ = split(KLINES, bars.select(list(KLINES.schema)))
    assert good.height == 1
    good, bad = split(KLINES, bars.with_columns(pl.lit(value).alias(column)).select(list(KLINES.schema)))
    assert (good.height, bad["broken_rule"].to_list()) == (0, ["a number is NaN or infinite"])


def test_the_split_knows_the_numbers_of_every_stream() -> None:
    for contract in STREAMS.values():
        good, bad = split(contract, contract.empty())
        assert (good.height, bad.height) == (0, 0)
