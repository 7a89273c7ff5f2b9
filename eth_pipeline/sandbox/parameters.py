"""Query parameters of the JSON endpoints: what is mandatory, what is a number, what is too much.

Belongs here: reading parameters and Binance's error codes for wrong ones. Does not belong: rows, endpoints.
"""

from collections.abc import Mapping

Params = Mapping[str, str]


class BadRequest(Exception):
    """The request is wrong; carries Binance's code and text, answered with HTTP 400."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def required(params: Params, name: str) -> str:
    """The text of a mandatory parameter; error -1102 where it is missing."""
    if not params.get(name):
        raise BadRequest(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return params[name]


def milliseconds(params: Params, name: str) -> int | None:
    """A time or a count as an integer, None where it was not sent; error -1100 where it is no number."""
    value = params.get(name)
    if value is None:
        return None
    if not value.isdigit():
        raise BadRequest(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(value)


def page_limit(params: Params, *, default: int, most: int, clamps: bool) -> int:
    """Rows asked for; above `most` futures refuse with -1130 and spot clamps."""
    limit = milliseconds(params, "limit")
    if limit is None:
        return default
    if limit < 1 or (limit > most and not clamps):
        raise BadRequest(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, most)


def kline_weight(params: Params) -> int:
    """Weight of one request for bars: 1 below 100 rows, 2 below 500, 5 to 1000, 10 above; 500 when not said."""
    limit = params.get("limit", "500")
    rows = int(limit) if limit.isdigit() else 500
    return 1 if rows < 100 else 2 if rows < 500 else 5 if rows <= 1000 else 10
