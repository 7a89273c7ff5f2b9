"""What the board knows: the records, files and tables of one home, read anew at every request.

Belongs here: reading, and judging whether what was read is of now. Does not belong: writing anything, layout
(`showing`), HTTP (`web`).
"""
