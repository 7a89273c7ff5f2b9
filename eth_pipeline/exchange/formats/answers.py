"""REST answers that are not what is documented, said in one way.

Belongs here: the outer shape of an answer and the sentence of a refusal. Does not belong: fields (the parsers),
statuses and connections (`exchange.http.transport`).
"""

from typing import Any

from eth_pipeline.errors import ContractViolation


def rows_of(payload: Any, *, what: str) -> list[Any]:
    """`payload` as the list of rows that it has to be.

    Raises:
        ContractViolation: it is none. An empty object must not pass for an answer without rows: that ends a range.
    """
    if isinstance(payload, list):
        return payload
    raise undocumented(what, TypeError(f"{type(payload).__name__} instead of a list"))


def undocumented(what: str, error: Exception) -> ContractViolation:
    """The refusal of an answer whose rows could not be read, to be raised from `error`."""
    return ContractViolation(
        f"{what}: not the documented fields ({error!r}). Nothing of the answer was stored. If it stays so, Binance "
        "changed its format and this package has to follow."
    )
