"""How much of an answer's body is taken in before it is refused.

Belongs here: reading a body piece by piece, up to a limit. Does not belong: who sends it and over what (`transport`),
what the limits are (`settings.ExchangeSettings`).

Without a limit whoever answers decides how much memory an hourly run takes: a proxy that streams an endless page, a
compressed answer of a few kilobytes that unpacks to gigabytes.
"""

from collections.abc import Iterable

from eth_pipeline.errors import RequestRefused


def read_within(pieces: Iterable[bytes], *, limit_bytes: int, encoding: str, what: str, setting: str) -> bytes:
    """The body, where it is no longer than allowed; no piece beyond that is asked for.

    Args:
        pieces: the body as it arrives, unpacked. One piece comes from one read of the connection, so it may be
            a thousand times that read at most (deflate), as long as the body is packed once.
        limit_bytes: the longest body that is taken.
        encoding: the header Content-Encoding; a body packed more than once is refused unread.
        what: the request, for the message.
        setting: name of the setting that allows more.

    Raises:
        RequestRefused: the body is longer, or packed more than once.
    """
    if "," in encoding:
        raise RequestRefused(
            f"{what}: the answer is packed more than once ({encoding}), as no exchange does. Look at who answers there."
        )
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > limit_bytes:
            raise RequestRefused(
                f"{what}: the answer is longer than {limit_bytes:,} bytes and was not read to its end. Look at who "
                f"answers there; if it is right to be that long, raise `{setting}`."
            )
    return bytes(content)
