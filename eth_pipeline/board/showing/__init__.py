"""What is made of what was read: pages, drawings, JSON bodies, metrics.

Belongs here: layout and form. Does not belong: reading (`reading`), the words (`contracts.wording`), HTTP (`web`).
"""
