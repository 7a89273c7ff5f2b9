"""What the server that workers are forked from has loaded, beyond the definitions.

Belongs here: imports, the job's graph and what says which code it is: all that an hourly run would load at its first
hour. Does not belong: anything that starts a thread (as importing onnxruntime and pyarrow does) or opens a file: a fork
would inherit half of it. Only that server imports this module.
"""

from eth_pipeline.definitions import defs
from eth_pipeline.operations.manifest import code_version, lock_digest


def _load() -> None:
    """Load what the hourly path imports when it needs it; several workers a day begin with it."""
    import alembic.runtime.migration  # noqa: F401  # loaded for its effect
    import httpcore2  # noqa: F401  # loaded for its effect
    import model_signing.verifying  # noqa: F401  # loaded for its effect
    import numpy.ma  # noqa: F401  # loaded for its effect

    defs.resolve_job_def("hourly")
    code_version()
    lock_digest()


_load()
