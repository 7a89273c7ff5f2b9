"""From a forecast to the size of a position: costs and funding ahead, Kelly, volatility target, caps.

Belongs here: how much. Does not belong: which direction (`signals.decision`), the account (`trading`).
"""
