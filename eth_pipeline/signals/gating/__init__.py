"""May this hour be acted on: freshness, guards, the kill switch, and the policy that weighs reasons into a state.

Belongs here: what blocks, degrades or announces. Does not belong: reading what is judged (`signals.evidence`).
"""
