"""The exchangeInfo documents: what a client loads first to learn symbols, precisions and limits.

Belongs here: constant facts in Binance's shape, rich enough for ccxt to load its markets. Does not belong: rows.
"""

from typing import Any

from eth_pipeline.sandbox.market import symbol_facts


def exchange_info(now_ms: int, limit: dict[str, Any], symbols: list[dict[str, Any]]) -> dict[str, Any]:
    """The document around `symbols`."""
    head = {"timezone": "UTC", "serverTime": now_ms, "rateLimits": [limit], "exchangeFilters": []}
    return {**head, "assets": [], "symbols": symbols}


def _filters(symbol: str) -> list[dict[str, Any]]:
    facts = symbol_facts(symbol)
    step = f"{10.0**-facts.quantity_decimals:.{facts.quantity_decimals}f}"
    lots = {"minQty": step, "maxQty": "10000", "stepSize": step}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": facts.tick_size, "maxPrice": "1000000", "tickSize": facts.tick_size},
        {"filterType": "LOT_SIZE", **lots},
        {"filterType": "MARKET_LOT_SIZE", **lots},
        {"filterType": "MIN_NOTIONAL", "notional": "5", "minNotional": "5"},
    ]


def _common_symbol(symbol: str) -> dict[str, Any]:
    facts = symbol_facts(symbol)
    assets = {"symbol": symbol, "baseAsset": facts.base_asset, "quoteAsset": "USDT", "status": "TRADING"}
    return {**assets, "baseAssetPrecision": 8, "quotePrecision": 8, "filters": _filters(symbol)}


def futures_symbol(symbol: str) -> dict[str, Any]:
    """One perpetual."""
    facts = symbol_facts(symbol)
    return {
        **_common_symbol(symbol),
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "marginAsset": "USDT",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "pricePrecision": facts.price_decimals,
        "quantityPrecision": facts.quantity_decimals,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def spot_symbol(symbol: str) -> dict[str, Any]:
    """One spot pair."""
    flags = {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
    return {**_common_symbol(symbol), **flags, "orderTypes": ["LIMIT", "MARKET"]}
