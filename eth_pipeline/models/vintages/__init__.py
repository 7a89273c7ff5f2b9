"""Vintages: the models that could have existed at the beginning of a month, and what they said of it.

Belongs here: training at a cutoff, forecasts after it. Does not belong: storing either (`registry.runs.vintages`).
"""
