"""`eth-pipeline plan`: the training node's work, stage after stage, from a file.

Belongs here: asking, running, recording. Does not belong: what a plan is (`operations.plan`), the work
(`defs.plan_work`).
"""
