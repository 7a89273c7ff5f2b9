"""From bars and forecast to the state and action of one hour.

Belongs here: strategy, consensus, forecast, gate, policy, size, and the past hours by the same code. Does not belong:
the account (`trading`), storing and telling (`operations`).
"""
