"""What became of an hour: direction and cost-aware outcome, each with its label end.

Belongs here: what a model is taught to forecast. Does not belong: what it may know (`features`). Every value here looks
into the future by design, so nothing on the way to a live signal may read it.
"""
