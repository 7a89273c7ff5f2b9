"""Pools of Dagster: which steps of a host take turns.

Belongs here: the names and which one a network's training takes. Does not belong: how many at a time; that is set on
the instance, by the training plan or `dagster instance concurrency set`.
"""

from pathlib import Path

from eth_pipeline.settings import Settings

TRAINING, GPU = "training", "gpu"
VINTAGES = "vintages"
"""Without a limit unless somebody sets one: how many months are trained at a time is the fan-out's number of workers.
In `training` they would take turns on every host where a plan has run."""
_DRIVER = Path("/dev/nvidiactl")


def network_pool(settings: Settings, *, driver: Path = _DRIVER) -> str:
    """`gpu` where networks will train on CUDA, else `training`, where they take turns with the trees.

    Asked when the definitions are loaded, on the host that runs them; so the driver's device file is looked at, and
    torch is not imported, which would cost every worker seconds.
    """
    device = settings.networks.device
    return GPU if device == "cuda" or (device == "auto" and driver.exists()) else TRAINING
