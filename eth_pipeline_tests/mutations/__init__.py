"""Deliberate bugs, each of which the suite must find: `python -m eth_pipeline_tests.mutations.run`.

Belongs here: the list, and applying one at a time to a copy. Does not belong: the tests that find them.
"""
