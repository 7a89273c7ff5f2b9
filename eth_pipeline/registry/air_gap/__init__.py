"""Across an air gap: training snapshots out, collections of candidates back, both signed and checked.

Belongs here: making and admitting both, and what has crossed. Does not belong: promoting what came
(`registry.promotions`).
"""
