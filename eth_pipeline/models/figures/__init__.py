"""Figures out of sample: what is judged of a candidate, with intervals, and the report of it.

Belongs here: judging forecasts that exist. Does not belong: making them (`models.walk_forward`), deciding by them
(`registry.promotions`).
"""
