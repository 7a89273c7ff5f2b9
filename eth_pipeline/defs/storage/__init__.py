"""Where Dagster keeps runs, events and what they print, made cheap enough for an hour on a small host.

These modules lean on privates of the pinned Dagster release; their tests run real runs against real files.
"""
