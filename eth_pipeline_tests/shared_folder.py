"""A folder that all processes of a test run share: what one makes there serves the others.

Belongs here: where it is. Does not belong: what is in it, and the lock that its makers hold meanwhile.
"""

import os
from pathlib import Path

import pytest


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder; of the one process where there is only one."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
