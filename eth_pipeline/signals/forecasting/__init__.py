"""The forecast of one hour: from the verified bundle, in this process or from the inference service.

Belongs here: which bundle speaks, its inputs and outputs, messages and stored rows. Does not belong: whether it is
believed (`signals.gating.guards`), training (`models`).
"""
