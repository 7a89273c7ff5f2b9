"""Models that size a position: quantiles of the return with conformal offsets, states of the market.

Belongs here: training and judging them. Does not belong: what they do to a position (`signals.sizing`).
"""
