"""Promotion: gates, decision, the chained log, what production is on this host, and the way back.

Belongs here: which bundle may speak and why. Does not belong: what a bundle is (`registry.bundles`), figures
(`models`).
"""
