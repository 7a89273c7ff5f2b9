"""The training plan of a node: what its file may say, what is remembered of a run, what is checked before it.

Belongs here: everything about a plan that needs no Dagster. Does not belong: running a stage (`cli.plan.runner`), the
assets that a stage materializes (`defs.assets`).
"""
