"""Bytes that were once good: what a bad line, a half-written file or somebody with an editor makes of them.

Belongs here: strategies of damage. Does not belong: what must hold for it (the tests).
"""

from collections.abc import Sequence

from hypothesis import strategies as st

TOKENS = (
    b",",
    b"\n",
    b"\r\n",
    b'"',
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"nan",
    b"inf",
    b"-1",
    b"3.5",
    b"1e999",
    b"9" * 19,
    b"9" * 25,
    b"9223372036854775807",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b'"\\ud800"',
    b"0001-01-01 00:00:00",
    b"9999-12-31 23:59:59",
    b"-125-03-01 00:00:00",
    b"PK\x01\x02",
)


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes], *, most: int = 4) -> bytes:
    """One of `seeds` after one to `most` changes: a byte, a token, a cut, a repetition."""
    content = bytearray(draw(st.sampled_from(list(seeds))))
    for _ in range(draw(st.integers(1, most))):
        place = draw(st.integers(0, len(content)))
        width = draw(st.integers(0, 12))
        change = draw(st.sampled_from(("byte", "token", "cut", "repeat", "end")))
        if change == "byte":
            content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == "token":
            content[place : place + width] = draw(st.sampled_from(TOKENS))
        elif change == "cut":
            del content[place : place + 1 + width]
        elif change == "repeat":
            content[place:place] = content[place : place + 1 + width]
        else:
            del content[place:]
    return bytes(content)
