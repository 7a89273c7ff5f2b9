"""The board over HTTP: who may look, which route answers, what every answer carries.

Belongs here: routes, doors, errors as answers, the server. Does not belong: reading (`reading`), layout (`showing`).
"""
