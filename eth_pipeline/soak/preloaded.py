"""What the server that workers are forked from has loaded, beyond the definitions.

Belongs here: imports and the job's graph, which an hourly run would load at its first hour. Does not belong: anything
that starts a thread (as importing onnxruntime does) or opens a file: a fork would inherit half of it. Only that server
imports this module.
"""

from eth_pipeline.definitions import defs


def _load() -> None:
    """Load what the hourly path imports when it needs it; several workers a day begin with it."""
    import alembic.runtime.migration  # noqa: F401  # loaded for its effect
    import model_signing.verifying  # noqa: F401  # loaded for its effect

    defs.resolve_job_def("hourly")


_load()
