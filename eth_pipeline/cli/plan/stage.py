"""The process of one stage: its open assets as one Dagster run, with the plan's name on it.

Belongs here: what the child process does. Does not belong: choosing the assets (`defs.plan_work`), bounding and
watching this process (`runner`).
"""

import os
import sys
from typing import Any

from eth_pipeline.operations.plan.child import die_with_starter
from eth_pipeline.settings import load_settings


def run_stage(job: str, *, assets: tuple[str, ...], tags: dict[str, str], steps_at_once: int) -> bool:
    """Materialize `assets` of `job` in one run; True when all of them were made.

    Args:
        job: a job of the definitions.
        assets: which of its assets.
        tags: of the run.
        steps_at_once: 1 runs every step in this process, more of them side by side in processes of their own.
    """
    import dagster as dg

    from eth_pipeline.defs.instance import open_instance

    if os.getpgid(0) == os.getpid() and not sys.stdin.isatty():
        die_with_starter()
    with open_instance(load_settings()) as instance:
        result = dg.execute_job(
            dg.build_reconstructable_job(__name__, "job_named", (job,)),
            instance,
            run_config=_config(assets, steps_at_once=steps_at_once),
            tags=tags,
            asset_selection=[dg.AssetKey(name) for name in assets],
        )
        return result.success


def job_named(name: str) -> Any:
    """A job of the definitions; a step's process finds it by this function's name."""
    from eth_pipeline.definitions import defs

    return defs.resolve_job_def(name)


def _config(assets: tuple[str, ...], *, steps_at_once: int) -> dict[str, Any]:
    together = {"multiprocess": {"max_concurrent": steps_at_once, "start_method": {"forkserver": {}}}}
    return {
        "execution": {"config": {"in_process": {}} if steps_at_once == 1 else together},
        "loggers": {"console": {"config": {"log_level": "WARNING"}}},
        **({"ops": {"features": {"config": {"rebuild": True}}}} if "features" in assets else {}),
    }
