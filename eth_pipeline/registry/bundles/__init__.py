"""The model bundle: its files, limits, signature and keys, and every check before one is loaded.

Belongs here: a bundle as a folder or one file. Does not belong: whether it is promoted (`registry.promotions`), MLflow.
"""
