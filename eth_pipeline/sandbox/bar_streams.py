"""The bar streams of the embedded exchange: for each, its REST path and its archive folder.

Belongs here: where a stream of bars is found and how it is printed. Does not belong: its rows (`synthetic_rows`,
`replay`), parameters (`rest`), files (`archive`).
"""

from dataclasses import dataclass

BarStream = str
"""Name of a bar stream: a key of `BAR_KINDS`."""


@dataclass(frozen=True)
class BarKind:
    """One stream of bars.

    Attributes:
        path: its REST endpoint.
        folder: venue and folder of the archive, `futures/um/klines`.
        prices_only: the volume fields carry Binance's placeholders.
        asks_for: how the endpoint calls the symbol.
    """

    path: str
    folder: str
    prices_only: bool = True
    asks_for: str = "symbol"

    @property
    def spot(self) -> bool:
        """Whether it is a stream of the spot market: other limits, other decimals, other times in files."""
        return self.folder.startswith("spot/")


BAR_KINDS: dict[BarStream, BarKind] = {
    "klines": BarKind("/fapi/v1/klines", "futures/um/klines", prices_only=False),
    "mark_klines": BarKind("/fapi/v1/markPriceKlines", "futures/um/markPriceKlines"),
    "spot_klines": BarKind("/api/v3/klines", "spot/klines", prices_only=False),
    "premium_klines": BarKind("/fapi/v1/premiumIndexKlines", "futures/um/premiumIndexKlines"),
}
